import numpy as np
import pytest
import tensorflow as tf

from kvision.data import load

IMAGE = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
JPEG = tf.io.encode_jpeg(IMAGE).numpy()
PNG = tf.io.encode_png(IMAGE).numpy()
BAD = {"empty.png": b"", "garbage.jpg": b"not an image", "cut.jpeg": JPEG[:200], "corrupt.png": PNG[:90] + b"x" * 300}


def write(root, files):
    for name, contents in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(contents)
    return root


def numbered(*classes, count=10, start=0):
    """PNG files with one grey level each, so that an image tells which file it was."""
    levels = range(start, start + count * len(classes))
    pictures = [tf.io.encode_png(np.full((4 + level % 3, 5, 3), level, np.uint8)).numpy() for level in levels]
    return {f"{classes[i // count]}/{i:03}.png": picture for i, picture in enumerate(pictures)}


def levels(dataset):
    return [(int(image.max()), int(label)) for image, label in dataset.as_numpy_iterator()]


def test_carved_splits_of_a_folder(tmp_path):
    write(tmp_path, numbered("dog", "cat"))
    splits = [load(str(tmp_path), name, seed=1) for name in ("train", "validation", "test")]
    assert [split.size for split in splits] == [16, 2, 2]
    assert {split.class_names for split in splits} == {("cat", "dog")}
    assert {split.image_shape for split in splits} == {(None, None, 3)}
    found = [levels(split.dataset) for split in splits]
    assert sorted(sum(found, [])) == [(level, int(level < 10)) for level in range(20)]
    assert all({label for _, label in part} == {0, 1} for part in found)
    assert levels(load(tmp_path, "test", seed=1).dataset) == found[2]
    shuffled = levels(splits[0].shuffled((0, 0)))
    assert shuffled != found[0] and sorted(shuffled) == sorted(found[0])
    assert shuffled == levels(splits[0].shuffled((0, 0)))


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_folders_named_as_splits_are_the_splits(tmp_path, validation):
    write(tmp_path / "train", numbered("a", "b"))
    write(tmp_path / validation, numbered("a", "b", count=2, start=100))
    train, valid, test = (load(tmp_path, name) for name in ("train", "validation", "test"))
    assert [split.size for split in (train, valid, test)] == [18, 4, 2]
    assert levels(valid.dataset) == [(100, 0), (101, 0), (102, 1), (103, 1)]
    everything = levels(train.dataset) + levels(test.dataset)
    assert sorted(everything) == [(level, level // 10) for level in range(20)]


def test_every_format_any_case_nested_and_hidden_files_ignored(tmp_path):
    files = {"x/a.JPG": JPEG, "x/b.jpeg": JPEG, "x/deep/er/c.Png": PNG, "x/d.bmp": PNG, "x/e.gif": PNG, "x/f.webp": PNG}
    ignored = {"x/.g.png": b"", "x/.cache/h.png": b"", ".hidden/i.png": b"", "x/notes.txt": b"", "readme.png": b""}
    split = load(write(tmp_path, files | ignored), validation=0, test=0)
    assert (split.class_names, split.size) == (("x",), 6)
    assert [image.shape for image, _ in split.dataset.as_numpy_iterator()] == [(12, 16, 3)] * 6


def test_unreadable_images_are_left_out_and_named_once(tmp_path):
    write(tmp_path, numbered("a", count=5) | {f"a/{name}": contents for name, contents in BAD.items()})
    split = load(tmp_path, validation=0, test=0)
    assert (split.size, split.unreadable) == (9, [])
    for dataset in (split.dataset, split.dataset, split.shuffled((0, 0))):
        assert sorted(levels(dataset)) == [(level, 0) for level in range(5)]
    names, reasons = zip(*split.unreadable, strict=True)
    assert names == tuple(str(tmp_path / "a" / name) for name in sorted(BAD))
    for part, reason in zip(("PNG", "JPEG", "empty", "Unknown image"), reasons, strict=True):
        assert part in reason


@pytest.mark.parametrize("name", sorted(BAD))
def test_on_error_raise_names_the_file(tmp_path, name):
    split = load(write(tmp_path, {"a/0.png": PNG, f"a/{name}": BAD[name]}), validation=0, test=0, on_error="raise")
    with pytest.raises(tf.errors.OpError, match=f"cannot read the image .*a/{name}: "):
        list(split.dataset)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, ValueError, "has no class folders; expected .*<class>/<image>"),
        ({"0.png": PNG}, ValueError, "has no class folders"),
        ({"a/0.png": PNG, "b/notes.txt": b""}, ValueError, "class 'b' has no image file in .*; looked for .jpg, .jpeg"),
        (
            {"a/0.png": PNG, "b/0.jpg": b"", "b/1.png": b"?"},
            ValueError,
            "class 'b' is readable.*0.jpg.*1.png",
        ),
        ({"train/a/0.png": PNG, "test/b/0.png": PNG}, ValueError, "folders that train does not have: b"),
    ],
)
def test_folders_that_are_no_data_set(tmp_path, files, error, message):
    with pytest.raises(error, match=message):
        load(write(tmp_path, files), "test", validation=0)


def test_paths_that_are_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load(str(tmp_path / "nowhere"))
    write(tmp_path, {"file": b""})
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        load(tmp_path / "file")
