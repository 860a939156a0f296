from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    CriterionConfig,
    PublishedCellConfig,
    PublishedConfig,
)
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports.tables import Link, page

Make = Callable[..., list[TrialResult]]

GOOD = {("left", 1): 80.0, ("left", 2): 90.0, ("jump", 1): 0.5, ("jump", 2): 1.5}


def test_a_complete_table(primitives: AblationConfig, make: Make) -> None:
    made = page(primitives, make(primitives, GOOD, sizes={("jump", 1): 7706, ("jump", 2): 7706}))
    assert made.results.columns == ["row", "published", "exact_match, ours: mean ± sd (n)", "difference", "criterion"]
    assert made.results.rows == [
        ["left", "90.3 (5)", "85.00 ± 7.07 (2)", "-5.30", "mean ≥ 70: pass"],
        ["jump", "1.2 ± 0.5 [M]", "1.00 ± 0.71 (2)", "-0.20", "max ≤ 5: pass"],
    ]
    assert made.results.footnotes == [
        "[M] from memory, unverified",
        "test/exact_match: exact|v1; sentences: 100 (left), 7,706 (jump)",
        "train/exact_match: exact|v1; sentences: 100 (left), 7,706 (jump)",
        "ran with torch 2.13.0, 1 thread per run",
    ]
    assert made.criteria.rows[2] == ["gap", "mean exact_match", "84.00", "≥ 60", "pass"]
    assert (made.verdict, made.reasons, made.deviations) == ("reproduced (light protocol)", [], ["batches of 16"])
    run = made.runs.rows[0]
    assert [str(entry) for entry in run] == ["left", "1", "80.00", "99.00", "12", "finished", "abcdef0", "left1"]
    assert isinstance(run[-1], Link) and run[-1].target.parts[-4:] == ("runs", "small", "left1", "record.json")


def test_a_table_can_be_printed_at_any_time(primitives: AblationConfig, make: Make) -> None:
    nothing = page(primitives, [TrialResult(trial, State.missing) for trial in expand(primitives)])
    assert nothing.verdict == "incomplete"
    assert [row[2:] for row in nothing.results.rows] == [
        ["– (0 of 2)", "", "mean ≥ 70: open"],
        ["– (0 of 2)", "", "max ≤ 5: open"],
    ]
    half = page(primitives, make(primitives, GOOD, states={("left", 2): State.running, ("jump", 2): State.missing}))
    assert half.results.rows[0][2] == "80.00 (1 of 2)"
    assert [str(entry) for entry in half.runs.rows[3]] == ["jump", "2", "–", "–", "–", "missing", "–", "–"]
    assert page(primitives, []).verdict == "incomplete"


def test_axes_decodings_and_several_scores_get_their_columns() -> None:
    cell = PublishedCellConfig(None, {"model/cell": "lstm"}, None, {"bleu": PublishedConfig(95.19, None, 1)})
    config = AblationConfig(
        seeds=[42],
        axes={"model/cell": ["gru", "lstm"], "text.source.reverse": [True]},
        metrics=["bleu", "exact_match"],
        published_cells=[cell],
        criteria=[CriterionConfig("own", where={"model/cell": "lstm"}, metric="bleu", at_least=90.0)],
    )
    made = page(config, [])
    start = ["model/cell", "text.source.reverse", "metric", "published"]
    assert made.results.columns == [*start, "ours: mean ± sd (n)", "difference", "criterion"]
    assert made.results.rows == [
        ["gru", "true", "bleu", "", "– (0 of 1)", "", ""],
        ["gru", "true", "exact_match", "", "– (0 of 1)", "", ""],
        ["lstm", "true", "bleu", "95.19 (1) [M]", "– (0 of 1)", "", "mean ≥ 90: open"],
        ["lstm", "true", "exact_match", "", "– (0 of 1)", "", ""],
    ]


def test_many_reasons_are_shortened(primitives: AblationConfig) -> None:
    config = replace(primitives, seeds=list(range(10)))
    made = page(config, [TrialResult(trial, State.missing) for trial in expand(config)])
    assert len(made.reasons) == 11 and made.reasons[-1] == "and 10 more"
