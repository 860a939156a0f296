"""Every figure of the page: there where the runs hold its data, true to it, and absent without."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq_lightning.reports.figures import FIGURES, Evidence, Figure, fitting, read_evidence, sample_outputs
from seq2seq_lightning.reports.figures.attention import attention_maps
from seq2seq_lightning.reports.figures.distances import gradients_by_distance
from seq2seq_lightning.reports.figures.evidence import TrainedCell
from seq2seq_lightning.reports.figures.learning import gradients, learning_curves, schedules
from seq2seq_lightning.reports.figures.lengths import by_source_length
from seq2seq_lightning.reports.figures.positions import exposure_bias, source_positions
from seq2seq_lightning.reports.figures.searches import beam_widths, length_penalties, penalty_grids
from seq2seq_lightning.reports.figures.styles import MOST_TOGETHER, panels, styles
from tests.reports.generated import BINS, DISTANCES, SEARCHES, ablation, write_runs

ROWS = ["fixed vector", "attention"]
CONFIG = replace(ablation(rows=2, seeds=2, searches=len(SEARCHES)), metrics=["exact_match"])
Draw = Callable[[Evidence], list[Figure]]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Two rows by two seeds, each searched in ten ways; everything that can be drawn is there."""
    return read_evidence(CONFIG, write_runs(tmp_path_factory.mktemp("runs"), CONFIG, updates=500, sentences=20))


def drawn(draw: Draw, evidence: Evidence) -> Figure:
    """The one figure, each picture with words, and a legend of all rows where there are lines."""
    (figure,) = draw(evidence)
    assert figure.title and figure.caption
    for picture in figure.pictures:
        assert picture.svg.startswith("<svg ") and len(picture.words) > 20
    if not any(picture.is_map for picture in figure.pictures):
        assert [label for label, _ in figure.legend] == ROWS
        assert len({style for _, style in figure.legend}) == len(ROWS)
    return figure


def titles(figure: Figure) -> list[str]:
    """Of its pictures, as their words begin."""
    return [re.split(r"[:.]", picture.words.removeprefix("Heat map, "))[0] for picture in figure.pictures]


def column(figure: Figure, row: str) -> dict[str, float]:
    """The numbers of a row below a figure, by the first column."""
    assert figure.numbers is not None
    place = figure.numbers.columns.index(row)
    return {str(line[0]): float(str(line[place])) for line in figure.numbers.rows if line[place] != "–"}


@pytest.mark.parametrize("draw", FIGURES)
def test_there_is_no_figure_without_its_data(draw: Draw, evidence: Evidence) -> None:
    empty = {cell: [replace(run, curves={}, decodings=[]) for run in runs] for cell, runs in evidence.runs.items()}
    assert draw(replace(evidence, runs=empty)) == []
    assert draw(replace(evidence, runs={})) == []


def test_score_by_source_length_overlays_the_rows_with_bands(evidence: Evidence) -> None:
    figure = drawn(by_source_length, evidence)
    assert titles(figure) == ["test/exact_match"]
    assert "95 % bootstrap interval over sentences and runs" in figure.caption
    (picture,) = figure.pictures
    assert all(row in picture.words for row in ROWS)
    bucket = {
        row: [
            each["scores"]["exact_match"]["value"]
            for run in runs
            for decoding in run.decodings
            if decoding.folder.name in run.chosen
            for each in decoding.scores.by_source_length[:1]
        ]
        for row, runs in ((cell.label, runs) for cell, runs in evidence.runs.items())
    }
    for row in ROWS:
        assert column(figure, row)["3"] == pytest.approx(sum(bucket[row]) / 2, rel=1e-3)


def test_learning_curves_are_of_losses_and_scores(evidence: Evidence) -> None:
    figure = drawn(learning_curves, evidence)
    assert titles(figure) == ["train/loss", "val/loss", "val/free_running_loss", "val/exact_match"]
    last = [run.curves["val/loss"][-1][1] for run in next(iter(evidence.runs.values()))]
    assert column(figure, ROWS[0])["val/loss"] == pytest.approx(sum(last) / 2, rel=1e-3)


def test_exposure_bias_is_the_gap_by_position(evidence: Evidence) -> None:
    figure = drawn(exposure_bias, evidence)
    assert titles(figure) == ["Fed gold tokens", "Fed its own tokens", "The gap between them", "The gap of the losses"]
    for row in ROWS:
        assert column(figure, row) == pytest.approx({name: 5.0 * place for place, name in enumerate(BINS)})


def test_schedules_are_drawn_with_the_share_fed_back(evidence: Evidence) -> None:
    figure = drawn(schedules, evidence)
    assert titles(figure) == ["probability of gold", "share fed back"]
    values = column(figure, ROWS[0])
    assert values["train/ratio"] == pytest.approx(0.3) and 0.7 <= values["train/fed_back"] < 0.72
    gold = {
        cell: [replace(run, curves={"train/ratio": [(50.0, 1.0)], "train/fed_back": [(50.0, 0.0)]}) for run in runs]
        for cell, runs in evidence.runs.items()
    }
    assert schedules(replace(evidence, runs=gold)) == []  # always fed the truth: there is no schedule to show


@pytest.mark.parametrize(
    ("draw", "places"), [(beam_widths, ["2", "5", "10"]), (length_penalties, ["0", "0.3", "0.6", "1"])]
)
def test_searches_are_drawn_by_the_option_that_differs(draw: Draw, places: list[str], evidence: Evidence) -> None:
    figure = drawn(draw, evidence)
    for row, runs in zip(ROWS, evidence.runs.values(), strict=True):
        seen = column(figure, row)
        assert list(seen) == places
        if draw is beam_widths:
            wide = [
                each.scores.scores["exact_match"].value
                for run in runs
                for each in run.decodings
                if each.scores.decoding.get("beam_width") == 10
            ]
            assert seen["10"] == pytest.approx(sum(wide) / len(wide), rel=1e-3)


def test_both_penalties_make_a_map_for_each_row(evidence: Evidence) -> None:
    figure = drawn(penalty_grids, evidence)
    assert titles(figure) == ROWS
    assert all(picture.is_map and "2 rows and 4 columns" in picture.words for picture in figure.pictures)


def test_attention_is_mapped_for_rows_that_have_one(evidence: Evidence) -> None:
    figure = drawn(attention_maps, evidence)
    assert titles(figure) == ["attention, seed 1"] * 2
    assert all(picture.is_map and ">hund<" in picture.svg for picture in figure.pictures)


def test_accuracy_is_by_source_position_or_by_quarter(evidence: Evidence) -> None:
    figure = drawn(source_positions, evidence)
    by_source, by_quarter = figure.pictures
    assert "attention from 90" in by_source.words and "fixed vector" not in by_source.words
    assert "fixed vector from 90 to 81" in by_quarter.words and "attention from" not in by_quarter.words
    assert column(figure, "attention") == {name: 90.0 - 3 * place for place, name in enumerate(BINS)}


def test_gradient_norms_are_drawn_by_distance_for_every_row(evidence: Evidence) -> None:
    figure = drawn(gradients_by_distance, evidence)
    (picture,) = figure.pictures
    assert all(f"{row} from 0.1" in picture.words for row in ROWS)
    for row, share in zip(ROWS, (0.6, 0.95), strict=True):
        norms = {name: 0.1 * share**place for place, name in enumerate(DISTANCES)}
        assert column(figure, row) == pytest.approx(norms, rel=1e-3)


def test_gradients_are_drawn_by_part(evidence: Evidence) -> None:
    assert titles(drawn(gradients, evidence)) == ["attention", "bridge", "decoder", "encoder", "output_layer"]


def test_outputs_of_all_rows_stand_beside_the_reference(evidence: Evidence) -> None:
    table = sample_outputs(evidence)
    assert table is not None and table.columns == ["source", "reference", *ROWS]
    assert len(table.rows) == 12 and table.rows[2][:2] == ["läuft über die", "die über läuft"]
    assert any(row[1] == row[3] for row in table.rows) and any(row[1] != row[2] for row in table.rows)


def test_figures_give_up_panels_where_a_page_has_no_room(evidence: Evidence) -> None:
    drawn = [*learning_curves(evidence), *beam_widths(evidence)]
    assert fitting(drawn) == drawn
    whole = sum(len(picture.svg) for figure in drawn for picture in figure.pictures)
    curves, widths = fitting(drawn, room=whole // 2)
    assert curves.pictures == drawn[0].pictures[:2] and widths.pictures == drawn[1].pictures
    assert "The first 2 of 4 panels" in curves.caption and widths.caption == drawn[1].caption
    assert curves.numbers == drawn[0].numbers
    assert fitting([]) == []


def test_every_figure_of_the_page_has_a_test() -> None:
    own = Path(__file__).read_text("utf-8")
    assert [draw.__name__ for draw in FIGURES if own.count(draw.__name__) < 2] == []


@pytest.mark.parametrize(("count", "sizes"), [(8, [8]), (9, [4, 5]), (10, [5, 5]), (17, [6, 5, 6])])
def test_a_long_list_of_rows_is_cut_into_even_panels(count: int, sizes: list[int]) -> None:
    cells = [TrainedCell(f"row {number}", ()) for number in range(count)]
    found = panels(cells)
    assert [len(members) for members in found.values()] == sizes
    assert [cell for members in found.values() for cell in members] == cells
    assert len(set(styles(cells).values())) == count


def test_rows_and_an_axis_make_a_panel_per_row() -> None:
    cells = [TrainedCell(row, (("size", size),)) for row in ("a", "b", "c") for size in (1, 2, 3)]
    found = panels(cells)
    assert {name: len(members) for name, members in found.items()} == {"a": 3, "b": 3, "c": 3}
    assert all(len({styles(cells)[cell] for cell in members}) == 3 for members in found.values())
    assert max(map(len, found.values())) <= MOST_TOGETHER
