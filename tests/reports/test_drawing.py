from __future__ import annotations

from itertools import pairwise

from seq2seq_lightning.reports.figures.drawing import Line, Panel, Style, draw, thinned


def test_a_picture_leaves_paper_and_ink_to_the_page() -> None:
    """A white sheet behind would hide the words of a dark page."""
    svg = draw(Panel("a & b", "x", "y", [Line("one", Style("#0072b2"), [1, 2, 3], [3.0, 1.0, 2.0])]))
    assert svg.startswith("<svg ") and "a &amp; b" in svg
    assert "#ffffff" not in svg and "currentColor" in svg
    assert "#010203" not in svg and "<metadata" not in svg


def test_long_lines_are_thinned_evenly_between_their_ends() -> None:
    assert thinned(5, 10) == [0, 1, 2, 3, 4]
    places = thinned(1000, 50)
    assert (len(places), places[0], places[-1]) == (50, 0, 999)
    assert {later - earlier for earlier, later in pairwise(places)} <= {20, 21}
