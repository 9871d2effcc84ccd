import io
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from matplotlib import pyplot

from kvision import visualize

PICTURES = {
    "curves": lambda: visualize.curves({"loss": [2.0, 1.0]}),
    "confusion": lambda: visualize.confusion(np.array([[3, 1], [0, 2]]), ["cat", "dog"]),
    "mistakes": lambda: visualize.mistakes([np.eye(8)], [0], [1], [0.9], ["cat", "dog"]),
    "sheet": lambda: visualize.sheet([np.eye(8)], ["an eye"]),
    "no mistakes": lambda: visualize.mistakes([], [], [], [], ["cat", "dog"]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_saves_a_picture_that_shows_something(name, tmp_path):
    path = tmp_path / "new" / "folder" / "picture.png"
    visualize.save(PICTURES[name](), path)
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
    pixels = matplotlib.image.imread(io.BytesIO(path.read_bytes()), format="png")
    assert min(pixels.shape[:2]) >= 300
    assert pixels[0, 0].min() == 1 and pixels[..., :3].std() > 0.02  # white paper with ink on it


def test_a_failed_save_keeps_the_old_picture(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    figure = PICTURES["curves"]()
    figure.axes[0].set_title(r"$\nonsense$")
    with pytest.raises(ValueError, match="nonsense"):
        visualize.save(figure, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_saves_only_png(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.png.*picture\.jpg"):
        visualize.save(PICTURES["curves"](), tmp_path / "picture.jpg")


def test_imports_without_matplotlib():
    program = "import sys; sys.modules['matplotlib'] = None; import kvision.visualize"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", PICTURES)
def test_leaves_no_global_state(name):
    before = dict(matplotlib.rcParams)
    PICTURES[name]().canvas.draw()
    assert not pyplot.get_fignums() and dict(matplotlib.rcParams) == before
