import os
import sys
import time

import pytest

from kvision.data.sources.listing import image_files, printable, subfolders


def touch(home, *names):
    for name in names:
        path = os.path.join(os.fsencode(home), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb"):
            pass


def below(home, paths):
    return [os.path.relpath(path, os.fsencode(home)) for path in paths]


def test_names_decide_and_the_rest_is_named(tmp_path):
    touch(
        tmp_path, "b.PNG", "deep/er/a.Jpeg", "c.jpg.txt", "png", "d.webp", "deep/notes", ".e.png", ".f/g.png", "h.tiff"
    )
    os.mkfifo(tmp_path / "pipe.jpg")
    images, others = image_files(tmp_path)
    assert below(tmp_path, images) == [b"b.PNG", b"d.webp", b"deep/er/a.Jpeg"]
    assert below(tmp_path, others) == [b"c.jpg.txt", b"deep/notes", b"h.tiff", b"pipe.jpg", b"png"]
    folders, files = subfolders(tmp_path)
    assert folders == ["deep"] and len(files) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems refuse such names")
def test_names_of_any_bytes(tmp_path):
    names = [
        "猫.png",
        "дом/ё.jpg",
        "with space.png",
        "line\nbreak.png",
        "tab\t.gif",
        b"caf\xe9.png",
        "*[a].png",
        "-n.bmp",
    ]
    touch(tmp_path, *names)
    images, others = image_files(tmp_path)
    assert below(tmp_path, images) == sorted(map(os.fsencode, names)) and not others
    assert printable(b"caf\xe9 \xe7\x8c\xab") == printable(os.fsdecode(b"caf\xe9 \xe7\x8c\xab")) == "caf\\xe9 猫"


def test_links_are_followed_but_not_in_circles(tmp_path):
    home = tmp_path / "root" / "a"
    touch(home, "x/1.png", "y/2.png")
    touch(tmp_path, "elsewhere/3.png", "root/b/4.png")
    links = {
        "x/back": home,
        "up": tmp_path,
        "self.png": home / "self.png",
        "x/y": home / "y",
        "z": tmp_path / "elsewhere",
    }
    for name, target in links.items():
        os.symlink(target, home / name)
    os.symlink(home / "y" / "2.png", home / "file.png")
    images, others = image_files(home)
    assert below(home, images) == [b"file.png", b"self.png", b"x/1.png", b"x/y/2.png", b"z/3.png"]
    assert below(home, others) == [b"up", b"x/back", b"y"]  # y has been read by its other name


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_files_in_one_folder(tmp_path, count):
    touch(tmp_path, *(f"{number:06}.png" for number in range(count)))
    start = time.perf_counter()
    images, others = image_files(tmp_path)
    assert time.perf_counter() - start < count / 5_000
    assert len(images) == count and images == sorted(images) and not others
