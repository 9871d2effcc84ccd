import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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


def pillow(format, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


NEGATIVE = [Image.fromarray(255 - IMAGE)]
MIXED = {
    "wide.png": tf.io.encode_png(np.tile(IMAGE, (1, 3, 1))).numpy(),
    "grey.png": pillow("PNG", "L"),
    "grey.jpg": pillow("JPEG", "L"),
    "16 bits.png": tf.io.encode_png(IMAGE.astype(np.uint16) * 257).numpy(),
    "palette.png": pillow("PNG", "P"),
    "alpha.png": pillow("PNG", "RGBA"),
    "cmyk.jpg": pillow("JPEG", "CMYK"),
    "moving.gif": pillow("GIF", save_all=True, append_images=NEGATIVE),
}


@pytest.mark.parametrize("name", MIXED)
def test_images_of_every_kind_are_one_kind(tmp_path, name):
    split = load(write(tmp_path, {f"a/{name}": MIXED[name], "a/zz.png": PNG}), validation=0, test=0)
    (image, _), (last, _) = split.dataset.as_numpy_iterator()
    np.testing.assert_array_equal(last, IMAGE)
    expected = np.asarray(Image.open(io.BytesIO(MIXED[name])).convert("RGB"), int)  # Pillow's first frame
    assert image.dtype == np.uint8 and image.shape == expected.shape
    assert np.abs(image - expected).mean() < (6 if name == "cmyk.jpg" else 1)
    assert not split.unreadable


LARGE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8))


@pytest.mark.parametrize("part", [0, 0.3, 0.9])
@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "bmp", "webp"])
def test_files_that_end_too_early_are_named(tmp_path, format, part):
    buffer = io.BytesIO()
    LARGE.save(buffer, format)
    cut = buffer.getvalue()[: int(part * buffer.tell())]
    split = load(write(tmp_path, {f"a/cut.{format}": cut, "a/good.png": PNG}), validation=0, test=0)
    assert len(list(split.dataset)) == 1
    assert [name for name, _ in split.unreadable] == [str(tmp_path / f"a/cut.{format}")]


def test_what_is_no_image_by_its_name_or_place_is_named(tmp_path):
    files = {"a/1.png": PNG, "a/Thumbs.db": b"", "a/deep/notes.txt": b"", "beside.png": PNG, "a/.hidden": b""}
    split = load(write(tmp_path, files), validation=0, test=0)
    assert split.ignored == tuple(str(tmp_path / name) for name in ("a/Thumbs.db", "a/deep/notes.txt", "beside.png"))
    files = {"train/a/1.png": PNG, "test/a/2.jpg": JPEG, "valid/a/1.png": PNG, "README": b"", "test/x": b""}
    split = load(write(tmp_path / "divided", files), "test")
    assert split.ignored == tuple(str(tmp_path / "divided" / name) for name in ("README", "test/x", "valid"))


def test_names_that_are_no_text(tmp_path):
    bad, good = (os.path.join(os.fsencode(tmp_path), b"caf\xe9", name) for name in (b"\xff\n.png", b"\xe7 2.png"))
    os.makedirs(os.path.dirname(bad))
    for path, content in ((bad, b""), (good, PNG)):
        with open(path, "wb") as file:
            file.write(content)
    split = load(tmp_path, validation=0, test=0)
    assert len(list(split.dataset)) == 1 and split.class_names == ("caf\\xe9",)
    assert [name for name, _ in split.unreadable] == [str(tmp_path / "caf\\xe9" / "\\xff\n.png")]


def test_links_to_nothing_and_to_themselves_are_unreadable(tmp_path):
    write(tmp_path, {"a/1.png": PNG})
    os.symlink(tmp_path / "nothing", tmp_path / "a" / "2.png")
    os.symlink(tmp_path / "a" / "3.png", tmp_path / "a" / "3.png")
    split = load(tmp_path, validation=0, test=0)
    assert len(list(split.dataset)) == 1
    assert [name[-5:] for name, _ in split.unreadable] == ["2.png", "3.png"]


def test_copies_of_a_file_come_into_one_split(tmp_path):
    """Every file three times, once under another class."""
    once = numbered("a", "b", count=15)
    swapped = {("b" if name[0] == "a" else "a") + f"/copy{name[2:]}": content for name, content in once.items()}
    again = {f"{name[0]}/again{name[2:]}": content for name, content in once.items()}
    write(tmp_path, once | swapped | again)
    for seed in range(3):
        parts = [levels(load(tmp_path, name, seed=seed).dataset) for name in ("train", "validation", "test")]
        assert sum(map(len, parts)) == 90 and all(parts)
        shown = [{level for level, _ in part} for part in parts]
        assert sum(map(len, shown)) == 30
        assert all(len(part) == 3 * len(which) for part, which in zip(parts, shown, strict=True))


def test_copies_in_official_splits_are_reported(tmp_path):
    files = numbered("a", "b", count=5)
    write(tmp_path / "train", files)
    write(tmp_path / "val", numbered("a", "b", count=2, start=50))
    write(
        tmp_path / "test",
        {f"b/{number}.png": content for number, content in enumerate(files.values())} | {"a/x.jpg": JPEG},
    )
    load(tmp_path, "train"), load(tmp_path, "validation")
    message = (
        r"10 images of the test split are in the train split, too, and stay in both: .*test/b/0.png is .*train/a/000"
    )
    with pytest.warns(UserWarning, match=message):
        assert load(tmp_path, "test").size == 11
