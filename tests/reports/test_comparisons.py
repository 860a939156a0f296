from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ablation_config import AblationConfig, ComparisonConfig, RowConfig, SignificanceTest
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.experiments.scores import HYPOTHESES_NAME, Score, Scores
from seq2seq_lightning.metrics import MetricsConfig, score_corpus
from seq2seq_lightning.reports.comparisons import compare
from seq2seq_lightning.reports.tables import page

Make = Callable[..., list[TrialResult]]

VALUES = {"left": [80.0, 90.0, 85.0], "jump": [70.0, 79.0, 78.0], "run": [81.0, 88.0, 87.0]}
TEST = {(row, seed + 1): value for row, values in VALUES.items() for seed, value in enumerate(values)}


@pytest.fixture
def three(primitives: AblationConfig) -> AblationConfig:
    """Three rows, three seeds, everything against `left`."""
    rows = [RowConfig(label) for label in VALUES]
    return replace(primitives, rows=rows, seeds=[1, 2, 3], criteria=[], comparisons=[ComparisonConfig(minus="left")])


def test_seeds_are_matched_and_p_is_corrected(three: AblationConfig, make: Make) -> None:
    jump, run = compare(three, make(three, TEST))
    # jump - left: -10, -11, -7, mean -28/3, squared deviations 4/9 + 25/9 + 49/9 = 26/3, s² 13/3, SE √(13/9)
    assert jump.difference == pytest.approx(-28 / 3) and jump.test == "paired t over 3 seeds"
    assert jump.p == pytest.approx(0.0162, abs=5e-4)  # t = -7.77 with two degrees of freedom
    assert run.difference == pytest.approx(1 / 3)
    assert jump.corrected == pytest.approx(2 * (jump.p or 0)) and run.corrected == run.p
    assert jump.is_clear and not run.is_clear
    assert jump.note == "" and "more seeds would decide (80 % power at 5 %, uncorrected)" in run.note


def test_only_seeds_of_both_sides_count(three: AblationConfig, make: Make) -> None:
    jump, run = compare(three, make(three, TEST, states={("left", 1): State.missing, ("run", 2): State.failed}))
    assert jump.test == "paired t over 2 seeds" and jump.difference == pytest.approx(-9.0)
    assert (run.difference, run.p, run.note) == (pytest.approx(2.0), None, "not tested: one seed on both sides")
    nothing = compare(three, make(three, TEST, states={("left", seed): State.running for seed in (1, 2, 3)}))
    assert [each.note for each in nothing] == ["no seed has finished on both sides"] * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": {("jump", seed): 90 for seed in (1, 2, 3)}}, "different test sets named test, n=90 and n=100"),
        (
            {"references": {("jump", s): "aaa" for s in (1, 2, 3)} | {("left", s): "bbb" for s in (1, 2, 3)}},
            "of equal size and other references",
        ),
    ],
)
def test_different_test_sets_are_refused(three: AblationConfig, make: Make, changes: dict, words: str) -> None:
    jump, run = compare(three, make(three, TEST, **changes))
    assert jump.note.startswith("refused: different test sets") and words in jump.note
    assert jump.p is jump.difference is None
    assert run.p is not None


def test_a_test_over_sentences_is_for_corpus_metrics(three: AblationConfig, make: Make) -> None:
    asked = [ComparisonConfig(minus="left", test=SignificanceTest.bootstrap)]
    found = compare(replace(three, comparisons=asked), make(three, TEST))
    assert found[0].note == "not tested: paired bootstrap is for BLEU, chrF and TER"
    ranks = compare(
        replace(three, comparisons=[ComparisonConfig(minus="left", test=SignificanceTest.wilcoxon)]), make(three, TEST)
    )
    assert ranks[0].test == "Wilcoxon over 3 seeds" and ranks[0].p == pytest.approx(0.25)  # 2 ÷ 2^3


@pytest.fixture
def translated(three: AblationConfig, make: Make, tmp_path: Path) -> tuple[AblationConfig, list[TrialResult]]:
    """Runs with BLEU and what they wrote: `jump` gets every second sentence wrong, `run` none."""
    config = replace(three, metrics=["bleu"], seeds=[1, 2], trained=None)
    settings = MetricsConfig()
    references = [(f"the {word} house stands near the old bridge",) for word in "abcdefghijklmnopqrst"]
    results = []
    for result in make(config, TEST):
        wrong = {"left": 5, "jump": 2, "run": 100}[result.trial.row_label]
        texts = [
            each[0] if (place + 1) % wrong else "no word of it was understood" for place, each in enumerate(references)
        ]
        found = score_corpus(settings, texts, references, ["bleu"])["bleu"]
        scores = Scores({}, "greedy", "test", 20, {"bleu": Score(found.value, found.signature or "", 20)})
        folder = tmp_path / result.trial.row_label / str(result.trial.seed)
        (folder / "decodings" / "greedy").mkdir(parents=True)
        rows = [{"hypothesis": text, "references": each} for text, each in zip(texts, references, strict=True)]
        path = folder / "decodings" / "greedy" / HYPOTHESES_NAME
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert result.record is not None
        record = replace(result.record, config={"metrics": asdict(settings)})
        results.append(replace(result, run_dir=folder, scores=(scores,), folders=("greedy",), record=record))
    return config, results


def test_corpus_metrics_are_tested_over_the_sentences_of_all_seeds(
    translated: tuple[AblationConfig, list[TrialResult]],
) -> None:
    jump, run = compare(*translated)
    assert jump.test == run.test == "approximate randomisation over 20 sentences × 2 seeds"
    assert jump.difference is not None and jump.difference < 0 and jump.is_clear
    assert run.difference is not None and run.difference > 0
    assert jump.interval is not None and jump.interval.low < jump.difference < jump.interval.high < 0


def test_without_hypotheses_seeds_are_left(translated: tuple[AblationConfig, list[TrialResult]]) -> None:
    config, results = translated
    bare = [replace(result, folders=()) for result in results]
    assert compare(config, bare)[0].test == "paired t over 2 seeds"
    asked = replace(config, comparisons=[ComparisonConfig(minus="left", test=SignificanceTest.bootstrap)])
    assert compare(asked, bare)[0].note == "not tested: hypotheses are not stored for all of these runs"
    assert compare(asked, results)[0].test == "paired bootstrap over 20 sentences × 2 seeds"


def test_the_table_of_comparisons(three: AblationConfig, make: Make) -> None:
    made = page(three, make(three, TEST)).comparisons
    assert made.columns == ["row", "minus", "difference [95 %]", "test", "p", "p (Holm)", "note"]
    row = [str(entry) for entry in made.rows[0]]
    assert row[:2] == ["jump", "left"] and row[2].startswith("-9.33 [-14.5") and row[4:6] == ["0.016", "0.032"]
