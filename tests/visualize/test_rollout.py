import numpy as np
import pytest

from kvision import visualize
from kvision.visualize.rollout import attention_rollout

RANDOM = np.random.default_rng(0)


def attention(images, heads, tokens) -> np.ndarray:
    scores = np.exp(RANDOM.normal(size=(images, heads, tokens, tokens)))
    return scores / scores.sum(-1, keepdims=True)


def test_rows_sum_to_one():
    rolled = attention_rollout([attention(2, 3, 5) for _ in range(4)])
    assert rolled.shape == (2, 5, 5)
    np.testing.assert_allclose(rolled.sum(-1), 1)


def test_by_hand():
    """Tokens 1 and 2: first each takes all of the other, then the first takes all of the second."""
    first, second = np.array([[0.0, 1], [1, 0]]), np.array([[0.0, 1], [0, 1]])
    halves = np.array([[0.5, 0.5], [0.5, 0.5]])
    rolled = attention_rollout([first[None, None], second[None, None]])
    np.testing.assert_allclose(rolled[0], np.array([[0.5, 0.5], [0, 1]]) @ halves)
    # Heads that take opposite sides average to even ones.
    heads = np.array([[[1.0, 0], [1, 0]], [[0, 1], [0, 1]]])[None]
    np.testing.assert_allclose(attention_rollout([heads])[0], [[0.75, 0.25], [0.25, 0.75]])


def test_tokens_that_keep_to_themselves_stay():
    np.testing.assert_array_equal(attention_rollout([np.eye(4)[None, None]] * 3)[0], np.eye(4))


@pytest.mark.parametrize("channels", [1, 3])
def test_light_falls_where_the_class_token_looks(channels, tmp_path):
    images = RANDOM.random((2, 8, 12, channels))
    maps = np.full((2, 1, 7, 7), 1 / 7)
    maps[1, 0, 0] = np.eye(7)[5]  # the class token of the second image: the fifth patch alone, row 1, column 1
    figure = visualize.rollout(images, [maps], ["one", "a very long name of a class"])
    assert len(figure.axes) == 4 and figure.axes[0].get_title(loc="left") == "one"
    # An image, then the same lit, for each of the two.
    even, one = (np.asarray(axes.images[1].get_array())[..., 3] for axes in figure.axes[1::2])
    np.testing.assert_allclose(even, np.zeros((2, 3)), atol=1e-12)
    np.testing.assert_array_equal(one, [[1, 1, 1], [1, 0, 1]])
    visualize.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("count", "tokens", "titles", "message"),
    [(2, 7, (), "1 images, maps of 2"), (1, 6, (), "5 patches do not cover"), (1, 7, ("a", "b"), "and 2 titles")],
)
def test_what_does_not_fit(count, tokens, titles, message):
    with pytest.raises(ValueError, match=message):
        visualize.rollout(np.zeros((1, 8, 12, 3)), [attention(count, 1, tokens)], titles)


@pytest.mark.parametrize("maps", [[], [np.zeros((1, 2, 3))], [np.zeros((1, 2, 3, 4))]])
def test_other_maps(maps):
    with pytest.raises(ValueError, match="Each map is"):
        attention_rollout(maps)
