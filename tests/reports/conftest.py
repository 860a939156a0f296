from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.experiments.ablation import Trial, expand
from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    CriterionConfig,
    Mark,
    PublishedConfig,
    RowConfig,
    Statistic,
    TrainedConfig,
)
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.experiments.record import Record
from seq2seq_lightning.experiments.scores import Score, Scores

Make = Callable[..., list[TrialResult]]


@pytest.fixture
def primitives() -> AblationConfig:
    """Two rows, two seeds, the three criteria of the SCAN table."""
    return AblationConfig(
        name="small",
        title="A small table",
        source="Somebody 2018",
        seeds=[1, 2],
        rows=[
            RowConfig("left", ["data.split=left"], {"exact_match": PublishedConfig(90.3, None, 5, Mark.P)}),
            RowConfig("jump", ["data.split=jump"], {"exact_match": PublishedConfig(1.2, 0.5, None, Mark.M)}),
        ],
        metrics=["exact_match"],
        trained=TrainedConfig(),
        light=True,
        criteria=[
            CriterionConfig("floor", row="jump", metric="exact_match", statistic=Statistic.max, at_most=5.0),
            CriterionConfig("learnt", row="left", metric="exact_match", at_least=70.0),
            CriterionConfig("gap", row="left", minus="jump", metric="exact_match", at_least=60.0),
        ],
        deviations=["batches of 16"],
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Results for every trial: ``test`` and ``train`` map (row, seed) to a value; absent ones are not scored."""

    def build(config: AblationConfig, test: dict[tuple[str, int], float], **changes: Any) -> list[TrialResult]:
        return [_result(trial, test, tmp_path, **changes) for trial in expand(config)]

    return build


def _result(
    trial: Trial,
    test: dict[tuple[str, int], float],
    folder: Path,
    train: dict[tuple[str, int], float] | None = None,
    states: dict[tuple[str, int], State] | None = None,
    signatures: dict[tuple[str, int], str] | None = None,
    sizes: dict[tuple[str, int], int] | None = None,
    references: dict[tuple[str, int], str] | None = None,
) -> TrialResult:
    place = (trial.row_label, trial.seed)
    state = (states or {}).get(place, State.finished)
    if state is State.missing:
        return TrialResult(trial, state)
    name = f"{trial.row_label}{trial.seed}"
    record = Record("completed", "small", name, 1, {}, trial.seed, commit="abcdef0123", dirty=False, threads=1)
    record.timings["train_seconds"] = 12.4
    record.versions["torch"] = "2.13.0"
    values = {"train": (train or {}).get(place, 99.0), **({"test": test[place]} if place in test else {})}
    signature, n = (signatures or {}).get(place, "exact|v1"), (sizes or {}).get(place, 100)
    scores = tuple(
        Scores(
            {},
            "greedy",
            test_set,
            n,
            {"exact_match": Score(value, signature, n)},
            references=(references or {}).get(place),
        )
        for test_set, value in values.items()
    )
    problem = "boom\nmore" if state is State.failed else None
    return TrialResult(trial, state, name, folder / "runs" / "small" / name, record, scores, problem)
