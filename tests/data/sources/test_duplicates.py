import os

import numpy as np

from kvision.data.sources.duplicates import END, same_files, same_rows


def test_rows_with_the_same_pixels():
    images = np.random.default_rng(0).random((6, 4, 5, 3))
    images[4], images[5] = images[1], images[1]
    images[3] = images[0]
    images[3, 2, 2, 1] += 1e-9
    for dtype in ("float64", "uint8"):
        rows = (images * (255 if dtype == "uint8" else 1)).astype(dtype)
        expected = [0, 1, 2, 3 if dtype == "float64" else 0, 1, 1]
        np.testing.assert_array_equal(same_rows(rows), expected)
    np.testing.assert_array_equal(same_rows(images[::-1, ::-1]), [0, 0, 2, 3, 0, 5])


def test_files_with_the_same_contents(tmp_path):
    long = bytes(range(256)) * (END // 64)
    contents = [b"one", b"two", long, b"one", b"x" + long[1:], long, b"", b"", b"three"]
    paths = [os.fsencode(tmp_path / str(number)) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        with open(path, "wb") as file:
            file.write(content)
    os.symlink(paths[1], paths[1] + b"-link")
    paths += [paths[1] + b"-link", paths[0] + b"-nowhere"]
    np.testing.assert_array_equal(same_files(paths), [0, 1, 2, 0, 4, 2, 6, 7, 8, 1, 10])


def test_files_of_a_size_of_their_own_are_not_opened(tmp_path, monkeypatch):
    paths = [os.fsencode(tmp_path / str(number)) for number in range(5)]
    for number, path in enumerate(paths):
        with open(path, "wb") as file:
            file.write(b"x" * (number + 1))
    monkeypatch.setattr("kvision.data.sources.duplicates._end", None)
    np.testing.assert_array_equal(same_files(paths), range(5))
