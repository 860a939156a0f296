from __future__ import annotations

import math
from itertools import pairwise

from matplotlib import colormaps
from matplotlib.colors import to_rgb

from seq2seq_lightning.reports.figures.drawing import (
    HeatMap,
    Line,
    Panel,
    Style,
    contrast,
    draw,
    draw_map,
    ink_on,
    thinned,
)


def test_a_picture_leaves_paper_and_ink_to_the_page() -> None:
    """A white sheet behind would hide the words of a dark page."""
    svg = draw(Panel("a & b", "x", "y", [Line("one", Style("#0072b2"), [1, 2, 3], [3.0, 1.0, 2.0])]))
    assert svg.startswith("<svg ") and "a &amp; b" in svg
    assert "#ffffff" not in svg and "currentColor" in svg
    assert "#010203" not in svg and "<metadata" not in svg


def test_numbers_stand_out_from_every_shade() -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 : 1."""
    shades = [colormaps["Blues"](place) for place in range(256)]
    assert min(contrast(to_rgb(ink_on(shade)), shade) for shade in shades) > 4.5
    assert {ink_on(shades[0]), ink_on(shades[-1])} == {"#000000", "#ffffff"}
    assert contrast((0, 0, 0), (1, 1, 1)) == contrast((1, 1, 1), (0, 0, 0)) == 21


def test_a_place_without_a_number_says_so() -> None:
    names = ["0", "1"]
    svg = draw_map(HeatMap("a", "x", "y", names, names, [[1.0, math.nan], [2.0, 3.0]], written=True))
    assert svg.count(">–<") == 1 and all(f">{words}<" in svg for words in ("1.0", "2.0", "3.0"))


def test_long_lines_are_thinned_evenly_between_their_ends() -> None:
    assert thinned(5, 10) == [0, 1, 2, 3, 4]
    places = thinned(1000, 50)
    assert (len(places), places[0], places[-1]) == (50, 0, 999)
    assert {later - earlier for earlier, later in pairwise(places)} <= {20, 21}
