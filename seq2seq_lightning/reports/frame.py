"""Trials and what came of them as one pandas frame: one line per trial, one column per score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.ablation_config import (
    SPEED,
    AblationConfig,
    cells,
    columns,
    length_range,
    published,
)
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.experiments.record import FILE_NAME
from seq2seq_lightning.experiments.scores import Score, Scores
from seq2seq_lightning.reports.statistics import summarise


def frame(config: AblationConfig, results: Sequence[TrialResult]) -> pd.DataFrame:
    """One line per trial: row, axes, decoding, seed, status, ``<test set>/<metric>`` …, seconds, commit, record.

    Scores are NaN where there are none yet, or where the run did not finish.
    """
    check_comparable(results)
    lines = [
        {
            "place": str(result.trial.place),
            "row": result.trial.row_label,
            **result.trial.cell,
            "decoding": result.trial.decoding_label,
            "seed": result.trial.seed,
            "status": result.state.value,
            **{f"{test_set}/{metric}": value(result, test_set, metric) for test_set, metric in wanted(config)},
            "seconds": result.record.timings.get("train_seconds") if result.record else None,
            "commit": _commit(result),
            "fingerprint": result.fingerprint,
            "record": result.run_dir / FILE_NAME if result.run_dir else None,
        }
        for result in results
    ]
    return pd.DataFrame(lines)


def summary(config: AblationConfig, results: Sequence[TrialResult]) -> pd.DataFrame:
    """One line per place of the table and score: what was published, mean, sd and n of our runs, and the difference."""
    runs = frame(config, results)
    lines = []
    for cell in cells(config):
        own = runs[runs["place"] == str(cell)] if len(runs) else runs
        for test_set, metric in columns(config):
            target = published(config, cell, test_set, metric)
            seen = summarise(own[f"{test_set}/{metric}"].dropna().tolist()) if len(own) else None
            line = {
                "place": str(cell),
                "row": cell.row_label,
                **dict(cell.axes),
                "decoding": cell.decoding_label,
                "test_set": test_set,
                "metric": metric,
                "published": target.value if target else None,
                "published_sd": target.spread if target else None,
                "published_n": target.n if target else None,
                "mark": target.mark.value if target else None,
                "mean": seen.mean if seen else None,
                "sd": seen.sd if seen else None,
                "n": seen.n if seen else 0,
                "trials": len(config.seeds),
                "difference": seen.mean - target.value if seen and target and not config.analogue else None,
            }
            lines.append(line)
    return pd.DataFrame(lines)


def wanted(config: AblationConfig) -> list[tuple[str, str]]:
    """(test set, metric) of every score a finished trial must have: the table's, and the one that shows it trained."""
    asked = [(config.trained.test_set, config.trained.metric)] if config.trained else []
    return list(dict.fromkeys([*columns(config), *asked]))


def score(result: TrialResult, test_set: str, metric: str) -> Score | None:
    """One score of a finished trial; None if it is not there.

    ``metric[41-60]`` is that of sources of 41 to 60 tokens, `sentences_per_second` the speed of the search.
    """
    if result.state is not State.finished:
        return None
    found = [
        item for scores in result.scores if scores.test_set == test_set and (item := _score(scores, metric)) is not None
    ]
    return found[0] if found else None


def _score(scores: Scores, metric: str) -> Score | None:
    if metric == SPEED and scores.sentences_per_second is not None:
        return Score(scores.sentences_per_second, "sentences per second", scores.sentences)
    name, low, high = length_range(metric)
    if low is None or high is None:
        return scores.scores.get(metric)
    parts = [
        Score(**part["scores"][name])
        for part in scores.by_source_length
        if low <= part["from"] and part["to"] <= high and name in part["scores"]
    ]
    n = sum(part.n for part in parts)
    if not n:
        return None
    signature = f"{parts[0].signature}, sources of {low} to {high} tokens"
    return Score(math.fsum(part.value * part.n for part in parts) / n, signature, n)


def value(result: TrialResult, test_set: str, metric: str) -> float:
    """The number of one score, NaN if there is none."""
    found = score(result, test_set, metric)
    return float("nan") if found is None else float(found.value)


def check_comparable(results: Sequence[TrialResult]) -> None:
    """Refuse to average scores of different test sets, or to set scores of different signatures side by side.

    Within a row every run must have scored the same sentences; across rows the signature of a metric must be one.
    """
    signatures: dict[tuple[str, str], tuple[str, TrialResult]] = {}
    test_sets: dict[tuple[str, str, str], tuple[tuple[int, str | None], TrialResult]] = {}
    for result in results:
        for scores in result.scores if result.state is State.finished else ():
            for metric, found in scores.scores.items():
                name = f"{scores.test_set}/{metric}"
                first, other = signatures.setdefault((scores.test_set, metric), (found.signature, result))
                if first != found.signature:
                    raise DataError(_mixed(name, "signatures", (first, other), (found.signature, result)))
                test_set = (found.n, scores.references)
                place = (str(result.trial.place), scores.test_set, metric)
                seen, other = test_sets.setdefault(place, (test_set, result))
                if seen != test_set:
                    raise DataError(_mixed(name, "test sets", (_spell(seen), other), (_spell(test_set), result)))


def _mixed(name: str, what: str, first: tuple[str, TrialResult], second: tuple[str, TrialResult]) -> str:
    return (
        f"{name} cannot be compared: {first[1].trial} and {second[1].trial} have different {what}, "
        f"{first[0]} and {second[0]}. Evaluate both runs again with the same settings."
    )


def _spell(test_set: tuple[int, str | None]) -> str:
    n, references = test_set
    return f"n={n}" + (f" references={references[:12]}" if references else "")


def _commit(result: TrialResult) -> str | None:
    record = result.record
    if record is None or record.commit is None:
        return None
    return record.commit[:7] + ("+" if record.dirty else "")
