from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports.frame import frame, score, summary, value

Make = Callable[..., list[TrialResult]]

GOOD = {("left", 1): 80.0, ("left", 2): 90.0, ("jump", 1): 0.5, ("jump", 2): 1.5}


def test_one_line_per_trial_with_every_score(primitives: AblationConfig, make: Make) -> None:
    runs = frame(primitives, make(primitives, GOOD, states={("jump", 2): State.failed}))
    assert list(runs["row"]) == ["left", "jump", "left", "jump"]
    assert list(runs["status"]) == ["finished", "finished", "finished", "failed"]
    assert runs["test/exact_match"].tolist()[:3] == [80.0, 0.5, 90.0]
    assert math.isnan(runs["test/exact_match"][3]), "a failed run has no score"
    assert runs["train/exact_match"][0] == 99.0 and runs["commit"][0] == "abcdef0"


def test_the_summary_by_hand(primitives: AblationConfig, make: Make) -> None:
    lines = summary(primitives, make(primitives, GOOD)).to_dict("records")
    # left: mean 85, deviations ±5, sd √(50/1); jump: mean 1, deviations ±0.5, sd √0.5
    assert [line["mean"] for line in lines] == [85.0, 1.0]
    assert [line["sd"] for line in lines] == pytest.approx([math.sqrt(50), math.sqrt(0.5)])
    assert [line["difference"] for line in lines] == pytest.approx([-5.3, -0.2])
    assert [(line["n"], line["trials"], line["mark"]) for line in lines] == [(2, 2, "P"), (2, 2, "M")]


def test_scores_of_different_signatures_are_refused(primitives: AblationConfig, make: Make) -> None:
    results = make(primitives, GOOD, signatures={("jump", 1): "exact|v2"})
    message = "cannot be compared: left, seed 1 and jump, seed 1 have different signatures, exact.v1 and exact.v2"
    with pytest.raises(DataError, match=message):
        frame(primitives, results)


def test_scores_of_different_test_sets_are_refused_within_a_row_only(primitives: AblationConfig, make: Make) -> None:
    message = "left, seed 1 and left, seed 2 have different test sets, n=100 and n=90.*Evaluate both runs again"
    with pytest.raises(DataError, match=message):
        frame(primitives, make(primitives, GOOD, sizes={("left", 2): 90}))
    with pytest.raises(DataError, match="different test sets, n=100 references=aaa and n=100 references=bbb"):
        frame(primitives, make(primitives, GOOD, references={("left", 1): "aaa", ("left", 2): "bbb"}))
    rows_differ = {("jump", 1): 7, ("jump", 2): 7}
    assert len(frame(primitives, make(primitives, GOOD, sizes=rows_differ))) == 4


def test_scores_of_long_sources_and_speeds_are_columns_too(primitives: AblationConfig, make: Make) -> None:
    result = make(primitives, GOOD)[0]
    parts = [(1, 5, 10, 100.0), (6, 10, 30, 50.0), (11, 15, 30, 10.0), (16, 20, 10, 50.0)]
    by_length = [
        {"from": low, "to": high, "n": n, "scores": {"exact_match": {"value": seen, "signature": "exact", "n": n}}}
        for low, high, n, seen in parts
    ]
    scores = replace(result.scores[-1], by_source_length=by_length, sentences_per_second=12.5)
    result = replace(result, scores=(scores,))
    long = score(result, "test", "exact_match[11-20]")
    assert long is not None and long.value == pytest.approx((30 * 10 + 10 * 50) / 40) and long.n == 40
    assert long.signature == "exact, sources of 11 to 20 tokens"
    assert score(result, "test", "exact_match[21-25]") is None
    assert value(result, "test", "sentences_per_second") == 12.5


def test_what_was_published_for_other_data_is_not_subtracted(primitives: AblationConfig, make: Make) -> None:
    lines = summary(replace(primitives, analogue=True), make(primitives, GOOD))
    assert lines["difference"].isna().all() and lines["published"].tolist() == [90.3, 1.2]
