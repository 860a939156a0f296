"""The differences an ablation asks for, tested: over seeds or over sentences, corrected after Holm.

What a test over seeds tells is whether other seeds would show the same; what a test over sentences tells is whether
other sentences would, of these very runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    Cell,
    ComparisonConfig,
    SignificanceTest,
    columns,
    partners,
)
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.experiments.scores import HYPOTHESES_NAME, Score, Scores
from seq2seq_lightning.metrics.scores import MetricsConfig
from seq2seq_lightning.metrics.significance import TESTED, PairedKind, paired_test
from seq2seq_lightning.reports.frame import score
from seq2seq_lightning.reports.statistics import Interval, holm, matched_interval, matched_p, measured, more_seeds
from seq2seq_lightning.structure import from_plain

SEED_TESTS = {
    SignificanceTest.auto: "paired t",
    SignificanceTest.paired_t: "paired t",
    SignificanceTest.wilcoxon: "Wilcoxon",
}
SENTENCE_TESTS = {
    SignificanceTest.auto: "approximate randomisation",
    SignificanceTest.randomisation: "approximate randomisation",
    SignificanceTest.bootstrap: "paired bootstrap",
}


@dataclass(frozen=True)
class Comparison:
    """One difference, first minus second; what cannot be told is None, and ``note`` says why."""

    first: Cell
    second: Cell
    test_set: str
    metric: str
    test: str = ""  # its name and over what: "paired t over 5 seeds"
    difference: float | None = None
    interval: Interval | None = None  # 95 %
    p: float | None = None
    corrected: float | None = None  # p after Holm, over all comparisons of this score
    note: str = ""

    @property
    def is_clear(self) -> bool:
        """Does it stand at 5 % after correction?"""
        return self.corrected is not None and self.corrected < 0.05


def compare(config: AblationConfig, results: Sequence[TrialResult]) -> list[Comparison]:
    """Every comparison the file asks for, in its order, with what is there by now."""
    by_cell: dict[Cell, list[TrialResult]] = {}
    for result in results:
        by_cell.setdefault(result.trial.place, []).append(result)
    found = [
        _compared(comparison, first, second, test_set, metric, by_cell)
        for test_set, metric in columns(config)
        for comparison in config.comparisons
        if comparison.metric in (None, metric)
        for first, second in partners(config, comparison)
    ]
    return _corrected(found)


def comparison_frame(found: Sequence[Comparison]) -> pd.DataFrame:
    """The comparisons at full precision, one line each."""
    return pd.DataFrame(
        [
            {
                "first": str(each.first),
                "second": str(each.second),
                **measured(each.test_set, each.metric, "difference", each.difference, each.interval),
                "test": each.test,
                "p": each.p,
                "p_holm": each.corrected,
                "note": each.note,
            }
            for each in found
        ]
    )


def _compared(
    asked: ComparisonConfig,
    first: Cell,
    second: Cell,
    test_set: str,
    metric: str,
    by_cell: dict[Cell, list[TrialResult]],
) -> Comparison:
    empty = Comparison(first, second, test_set, metric)
    pairs = list(_pairs(by_cell.get(first, []), by_cell.get(second, []), test_set, metric))
    if not pairs:
        return replace(empty, note="no seed has finished on both sides")
    refusal = next(filter(None, (_refusal(one, other, test_set) for one, other in pairs)), None)
    if refusal:
        return replace(empty, note=refusal)
    if asked.test in SENTENCE_TESTS and metric in TESTED:
        told = _over_sentences(empty, asked.test, pairs)
        if told is not None:
            return told
        if asked.test is not SignificanceTest.auto:
            return replace(empty, note="not tested: hypotheses are not stored for all of these runs")
    elif asked.test not in SEED_TESTS:
        return replace(empty, note=f"not tested: {SENTENCE_TESTS[asked.test]} is for BLEU, chrF and TER")
    return _over_seeds(empty, asked.test, pairs)


@dataclass(frozen=True)
class _Side:
    """A run of one side: its score, and what of it that score is from."""

    result: TrialResult
    scores: Scores
    score: Score


def _pairs(
    first: Iterable[TrialResult], second: Iterable[TrialResult], test_set: str, metric: str
) -> Iterator[tuple[_Side, _Side]]:
    """The runs of equal seeds that both have the score, in the order of the first."""
    others = {result.trial.seed: result for result in second}
    for result in first:
        other = others.get(result.trial.seed)
        sides = [_side(each, test_set, metric) for each in (result, other) if each is not None]
        if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
            yield sides[0], sides[1]


def _side(result: TrialResult, test_set: str, metric: str) -> _Side | None:
    found = score(result, test_set, metric)
    scores = next((each for each in result.scores if each.test_set == test_set), None)
    return _Side(result, scores, found) if found is not None and scores is not None else None


def _refusal(one: _Side, other: _Side, test_set: str) -> str | None:
    """Why two scores may not be subtracted: another way of computing, or other sentences."""
    if one.score.signature != other.score.signature:
        return f"refused: different signatures, {one.score.signature} and {other.score.signature}"
    if one.score.n != other.score.n:
        return f"refused: different test sets named {test_set}, n={one.score.n} and n={other.score.n}"
    references = one.scores.references, other.scores.references
    if None not in references and references[0] != references[1]:
        return f"refused: different test sets named {test_set}, of equal size and other references"
    return None


def _over_seeds(empty: Comparison, test: SignificanceTest, pairs: Sequence[tuple[_Side, _Side]]) -> Comparison:
    differences = [one.score.value - other.score.value for one, other in pairs]
    n = len(differences)
    mean = sum(differences) / n
    if n == 1:
        return replace(empty, difference=mean, note="not tested: one seed on both sides")
    name = SEED_TESTS[test]
    p = matched_p(differences, ranks=test is SignificanceTest.wilcoxon)
    told = replace(empty, test=f"{name} over {n} seeds", difference=mean, interval=matched_interval(differences), p=p)
    return replace(told, note=_power(differences))


def _power(differences: Sequence[float]) -> str:
    """How many more seeds would decide, if the next ones were like these."""
    more = more_seeds(differences)
    if more == 0:
        return ""
    if more is None:
        return "no number of seeds would decide a difference as small as this"
    return f"about {more} more seed{'s' * (more > 1)} would decide (80 % power at 5 %, uncorrected)"


def _over_sentences(
    empty: Comparison, test: SignificanceTest, pairs: Sequence[tuple[_Side, _Side]]
) -> Comparison | None:
    """The runs of each side read one after the other as one corpus; None where what was written is not stored."""
    first, second = ([line for pair in pairs for line in _lines(pair[place])] for place in (0, 1))
    sentences = [side.scores.sentences for side, _ in pairs]
    references = [line.references for line in first]
    if len(first) != sum(sentences) or [line.references for line in second] != references:
        return None
    record = pairs[0][0].result.record
    assert record is not None, "a finished run has a record"
    kind = PairedKind.bootstrap if test is SignificanceTest.bootstrap else PairedKind.randomisation
    tested = paired_test(
        kind,
        empty.metric,
        from_plain(MetricsConfig, record.config["metrics"], {}),
        [line.hypothesis for line in first],
        [line.hypothesis for line in second],
        references,
    )
    if tested.signature != pairs[0][0].score.signature:  # scored with other settings than the run was trained with
        return None
    name = f"{SENTENCE_TESTS[test]} over {sentences[0]:,} sentences" + f" × {len(pairs)} seeds" * (len(pairs) > 1)
    interval = Interval(tested.low, tested.high)
    return replace(empty, test=name, difference=tested.difference, interval=interval, p=tested.p)


@dataclass(frozen=True)
class _Line:
    """What was written for one sentence, and what should have been."""

    hypothesis: str
    references: tuple[str, ...]


def _lines(side: _Side) -> list[_Line]:
    """From the file beside the scores; none where there is no such file."""
    folder = side.result.folder_of(side.scores)
    if folder is None or not (folder / HYPOTHESES_NAME).exists():
        return []
    with (folder / HYPOTHESES_NAME).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [_Line(row["hypothesis"], tuple(row["references"])) for row in rows]


def _corrected(found: list[Comparison]) -> list[Comparison]:
    """With Holm's correction over the tested comparisons of each score."""
    corrected = list(found)
    for score_of in dict.fromkeys((each.test_set, each.metric) for each in found):
        tested = [
            place for place, each in enumerate(found) if (each.test_set, each.metric) == score_of and each.p is not None
        ]
        for place, p in zip(tested, holm([found[place].p or 0.0 for place in tested]), strict=True):
            corrected[place] = replace(found[place], corrected=p)
    return corrected
