from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    CriterionConfig,
    DecodingRowConfig,
    Mark,
    PublishedCellConfig,
    PublishedConfig,
    RowConfig,
    Statistic,
    TrainedConfig,
)
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports.verdicts import Verdict, assess, evaluate

Make = Callable[..., list[TrialResult]]

GOOD = {("left", 1): 80.0, ("left", 2): 90.0, ("jump", 1): 0.5, ("jump", 2): 1.5}


@pytest.mark.parametrize(
    ("test", "changes", "light", "verdict", "reason"),
    [
        (GOOD, {}, True, Verdict.reproduced_light, None),
        (GOOD, {}, False, Verdict.reproduced, None),
        ({**GOOD, ("jump", 2): 5.5}, {}, True, Verdict.not_reproduced, "floor: 5.50, not ≤ 5"),
        ({**GOOD, ("jump", 2): 5.0}, {}, True, Verdict.reproduced_light, None),
        ({**GOOD, ("left", 1): 50.0}, {}, True, Verdict.reproduced_light, None),
        ({**GOOD, ("left", 1): 49.9}, {}, True, Verdict.not_reproduced, "learnt: 69.95, not ≥ 70"),
        ({**GOOD, ("left", 1): float("nan")}, {}, True, Verdict.not_reproduced, "learnt: nan, not ≥ 70"),
        (
            GOOD,
            {"train": {("left", 2): 94.9}},
            True,
            Verdict.not_trained,
            "left, seed 2: train/exact_match 94.90, not ≥ 95",
        ),
        (GOOD, {"train": {("left", 2): 95.0}}, True, Verdict.reproduced_light, None),
        (GOOD, {"states": {("jump", 2): State.missing}}, True, Verdict.incomplete, "jump, seed 2: missing"),
        (GOOD, {"states": {("jump", 2): State.failed}}, True, Verdict.incomplete, "jump, seed 2: failed (boom)"),
        (GOOD, {"states": {("left", 1): State.running}}, True, Verdict.incomplete, "left, seed 1: running"),
        ({("left", 1): 80.0}, {}, True, Verdict.incomplete, "left, seed 2: not scored (test/exact_match)"),
        # incomplete comes before not trained, not trained before not reproduced
        (
            GOOD,
            {"states": {("jump", 2): State.missing}, "train": {("left", 2): 1.0}},
            True,
            Verdict.incomplete,
            "jump, seed 2: missing",
        ),
        (
            {**GOOD, ("left", 1): 0.0},
            {"train": {("left", 2): 1.0}},
            True,
            Verdict.not_trained,
            "left, seed 2: train/exact_match 1.00, not ≥ 95",
        ),
    ],
)
def test_the_verdict(
    primitives: AblationConfig,
    make: Make,
    test: dict[tuple[str, int], float],
    changes: dict[str, Any],
    light: bool,
    verdict: Verdict,
    reason: str | None,
) -> None:
    config = replace(primitives, light=light)
    assessment = assess(config, make(config, test, **changes))
    assert assessment.verdict is verdict
    assert reason in assessment.reasons if reason else not assessment.reasons


def test_without_a_rule_there_is_no_verdict(primitives: AblationConfig, make: Make) -> None:
    config = replace(primitives, rows=[RowConfig("left"), RowConfig("jump")], criteria=[])
    assert assess(config, make(config, GOOD)).verdict is None


@pytest.mark.parametrize(("jump", "verdict"), [(1.5, Verdict.met), (5.5, Verdict.not_met)])
@pytest.mark.parametrize("light", [True, False])
def test_what_nobody_published_cannot_be_reproduced(
    primitives: AblationConfig, make: Make, jump: float, verdict: Verdict, light: bool
) -> None:
    rows = [replace(row, published={}) for row in primitives.rows]
    config = replace(primitives, rows=rows, light=light)
    assessment = assess(config, make(config, {**GOOD, ("jump", 2): jump}))
    assert assessment.verdict is verdict
    assert bool(assessment.reasons) is (verdict is Verdict.not_met)
    published = [PublishedCellConfig(row="left", published={"exact_match": PublishedConfig(90.3, mark=Mark.P)})]
    config = replace(config, published_cells=published)
    assert "reproduced" in assess(config, make(config, {**GOOD, ("jump", 2): jump})).verdict.value  # type: ignore[union-attr]


def test_the_criteria_say_what_they_saw(primitives: AblationConfig, make: Make) -> None:
    criteria = assess(primitives, make(primitives, GOOD)).criteria
    # max(0.5, 1.5); (80 + 90) / 2; 85 - 1
    assert [(item.label, item.seen, item.bound, item.outcome) for item in criteria] == [
        ("floor", 1.5, "≤ 5", "pass"),
        ("learnt", 85.0, "≥ 70", "pass"),
        ("gap", 84.0, "≥ 60", "pass"),
    ]


def test_a_criterion_without_runs_is_open(primitives: AblationConfig, make: Make) -> None:
    results = make(primitives, {("jump", 1): 0.0})
    assert [item.outcome for item in assess(primitives, results).criteria] == ["pass", "open", "open"]


@pytest.mark.parametrize(("values", "passed"), [((86.0, 94.0), True), ((60.0, 64.0), False), ((80.0, 96.0), True)])
def test_within_two_standard_errors_or_the_margin(
    primitives: AblationConfig, make: Make, values: tuple[float, float], passed: bool
) -> None:
    # published 93 ± 2 (4), margin 2. (60, 64): sd √8, SE = √(8/2 + 4/4) = √5, 62 is 31 away.
    # (86, 94): sd √32, SE √17, 2 SE 8.25, 90 is 3 away. (80, 96): sd √128, SE √65, 88 is 5 away of 16.1
    row = RowConfig("left", [], {"exact_match": PublishedConfig(93.0, 2.0, 4, Mark.P)})
    criterion = CriterionConfig("near", row="left", metric="exact_match", within=2.0)
    config = replace(primitives, rows=[row, RowConfig("jump")], criteria=[criterion])
    results = make(config, {("left", 1): values[0], ("left", 2): values[1]})
    assert evaluate(config, criterion, results).passed is passed


def test_within_says_its_interval(primitives: AblationConfig, make: Make) -> None:
    criterion = CriterionConfig("near", row="left", metric="exact_match", within=2.0)
    config = replace(primitives, seeds=[1], criteria=[criterion])
    # one run, 100 sentences, 50 %: binomial 5 points; published without spread adds nothing
    result = evaluate(config, criterion, make(config, {("left", 1): 50.0}))
    assert result.bound == "90.3 ± 10.00 = max(2 SE, 2)" and result.passed is False


def test_a_table_after_somebody_elses_reproduces_nothing(primitives: AblationConfig, make: Make) -> None:
    assessment = assess(replace(primitives, analogue=True), make(primitives, GOOD))
    assert assessment.verdict is Verdict.met


def test_a_row_that_is_not_expected_to_learn_leaves_the_table_trained(primitives: AblationConfig, make: Make) -> None:
    results = make(primitives, GOOD, train={("jump", 1): 3.0})
    assert assess(primitives, results).verdict is Verdict.not_trained
    config = replace(primitives, trained=TrainedConfig(but=["jump"]))
    assert assess(config, results).verdict is Verdict.reproduced_light


@pytest.mark.parametrize(("clear_by", "passed"), [(0.0, True), (10.0, True), (20.0, False)])
def test_a_difference_is_clear_by_its_standard_errors(
    primitives: AblationConfig, make: Make, clear_by: float, passed: bool
) -> None:
    # 85 - 1 = 84; s² are 50 and 0.5 over 2 runs each: SE = √25.25 = 5.02, and 84 = 16.7 of them
    criterion = CriterionConfig("clear", row="left", minus="jump", metric="exact_match", clear_by=clear_by)
    result = evaluate(primitives, criterion, make(primitives, GOOD))
    assert result.passed is passed
    assert result.bound == f"> {clear_by * 25.25**0.5:.2f} = {clear_by:g} SE"
    same = {("left", 1): 1.0, ("left", 2): 1.0, ("jump", 1): 1.0, ("jump", 2): 1.0}
    assert evaluate(primitives, criterion, make(primitives, same)).passed is False


def test_the_published_order_of_rows(primitives: AblationConfig, make: Make) -> None:
    numbers = {"a": 5.0, "b": 10.0, "c": 20.0}
    rows = [RowConfig(label, [], {"exact_match": PublishedConfig(value)}) for label, value in numbers.items()]
    criterion = CriterionConfig("order", metric="exact_match", statistic=Statistic.spearman, at_least=0.9)
    config = replace(primitives, rows=rows, seeds=[1], criteria=[criterion])
    for seen, outcome in (((1.0, 2.0, 3.0), 1.0), ((3.0, 2.0, 1.0), -1.0), ((2.0, 1.0, 3.0), 0.5)):
        results = make(config, {(label, 1): value for label, value in zip(numbers, seen, strict=True)})
        assert evaluate(config, criterion, results).seen == pytest.approx(outcome)
    assert evaluate(config, criterion, make(config, {("a", 1): 1.0, ("b", 1): 2.0})).outcome == "open"


def test_one_decoding_minus_another(primitives: AblationConfig, make: Make) -> None:
    decodings = [DecodingRowConfig("greedy"), DecodingRowConfig("beam")]
    criterion = CriterionConfig(
        "beam helps", row="left", decoding="beam", minus_decoding="greedy", metric="exact_match", at_least=1.0
    )
    config = replace(primitives, decodings=decodings, criteria=[criterion])
    results = [
        replace(result, scores=()) if result.trial.decoding_label == "beam" else result for result in make(config, GOOD)
    ]
    assert evaluate(config, criterion, results).seen is None
    assert evaluate(config, criterion, make(config, GOOD)).seen == 0.0
    everything = replace(criterion, decoding="*", minus_decoding=None, statistic=Statistic.max)
    assert evaluate(config, everything, results).seen == 90.0
