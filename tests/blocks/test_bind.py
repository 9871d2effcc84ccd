from kvision.blocks.bind import bind


def scale(x, factor=2, *, offset=0):
    return x * factor + offset


def test_fills_in_keywords_and_later_ones_win():
    triple = bind(scale, factor=3, offset=1)
    assert triple(2) == 7 and triple(2, offset=0) == 6


def test_equal_ones_compare_equal_and_print_alike():
    assert bind(scale, factor=3, offset=1) == bind(scale, offset=1, factor=3) != bind(scale, factor=2)
    assert hash(bind(scale, factor=3)) == hash(bind(scale, factor=3))
    assert repr(bind(scale, factor=3, offset=bind(scale))) == "scale(factor=3, offset=scale())"
