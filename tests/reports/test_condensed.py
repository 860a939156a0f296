"""What an exported run keeps: the same figures as the run, in a few kilobytes, and nothing that anybody wrote."""

from __future__ import annotations

import base64
import json
import random
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.ledger import TrialResult, collect, export, read_trials
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.reports.condensed import (
    CURVES_NAME,
    POINTS,
    SENTENCES_NAME,
    SentenceSums,
    read_curves,
    read_sentences,
    sentence_sums,
    thinned,
    write_curves,
    write_sentences,
)
from seq2seq_lightning.reports.figures import condense, read_evidence
from seq2seq_lightning.reports.figures.learning import learning_curves
from seq2seq_lightning.reports.figures.lengths import OF_SENTENCES, by_source_length
from tests.reports.generated import ablation, write_runs

CONFIG = ablation(rows=2, seeds=2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[TrialResult]:
    """Four runs of 40 logged updates."""
    return write_runs(tmp_path_factory.mktemp("runs"), CONFIG)


def exported(config: AblationConfig, results: list[TrialResult], folder: Path) -> list[TrialResult]:
    """The same trials as they are found when nothing but what was exported is there."""
    for result in results:
        assert result.run_dir is not None
        condense(result.run_dir, export(result.run_dir, folder / config.name), config.metrics)
        entries = read_trials(result.run_dir.parent)
    return collect([result.trial for result in results], entries, [folder])


def test_figures_of_exported_runs_are_those_of_the_runs(results: list[TrialResult], tmp_path: Path) -> None:
    pages = [read_evidence(CONFIG, each) for each in (results, exported(CONFIG, results, tmp_path))]
    (full,), (kept,) = (by_source_length(each) for each in pages)
    assert full == kept and OF_SENTENCES in kept.caption  # the bands, draw by draw
    (full,), (kept,) = (learning_curves(each) for each in pages)
    assert full.numbers is not None and kept.numbers is not None
    assert [row[0] for row in kept.numbers.rows] == [row[0] for row in full.numbers.rows]
    values = [[float(str(entry)) for row in each.numbers.rows for entry in row[1:]] for each in (full, kept)]
    assert values[1] == pytest.approx(values[0], rel=1e-3)


def test_nothing_that_anybody_wrote_is_exported(results: list[TrialResult], tmp_path: Path) -> None:
    exported(CONFIG, results, tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"record.json", "scores.json", CURVES_NAME, SENTENCES_NAME}
    assert not any("hund" in path.read_text("utf-8") for path in files)


@pytest.mark.slow
def test_what_is_kept_of_a_long_run_is_small(tmp_path: Path) -> None:
    """100,000 updates logged every 50, 7,706 sentences, the largest test set of SCAN: 100 runs make 2.5 MB at most."""
    config = replace(ablation(rows=1, seeds=1), metrics=["exact_match", "token_accuracy"])
    exported(config, write_runs(tmp_path / "runs", config, updates=100_000, sentences=7706), tmp_path / "kept")
    (curves,), (sentences,) = ([*(tmp_path / "kept").rglob(name)] for name in (CURVES_NAME, SENTENCES_NAME))
    assert curves.stat().st_size < 10_000
    assert sentences.stat().st_size < 15_000


@pytest.mark.parametrize(("one", "other"), [(1000, 1000), (1000, 1130), (65, 64), (40, 2000)])
def test_runs_of_unlike_length_keep_points_in_common(one: int, other: int) -> None:
    curves = [[(50.0 * place, 0.0) for place in range(1, points + 1)] for points in (one, other)]
    kept = [{update for update, _ in thinned("val/loss", curve)} for curve in curves]
    longest = max(one, other)
    assert all(len(each) <= POINTS + 1 for each in kept)
    assert all(curve[-1][0] in each for curve, each in zip(curves, kept, strict=True))
    assert len(kept[0] & kept[1]) >= min(min(one, other) * POINTS // (2 * longest), min(one, other))


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(-1e6, 1e6)), min_size=1, max_size=300, unique_by=lambda x: x[0])
)
def test_kept_points_are_points(points: list[tuple[int, float]]) -> None:
    curve = [(float(update), value) for update, value in sorted(points)]
    assert set(thinned("train/loss", curve)) <= set(curve)
    assert thinned("val/accuracy_at/1", curve) == curve[-1:]
    assert thinned("train/gradient_norm/encoder", curve[:POINTS]) == curve[:POINTS]


def test_curves_come_back_to_four_digits(tmp_path: Path) -> None:
    dice = random.Random(0)
    curves = {
        "train/loss": [(50.0 * place, dice.uniform(0, 3)) for place in range(1, 60)],
        "val/bleu": [(200.0, 12.3456), (400.0, 1e-9)],
    }
    write_curves(tmp_path, curves)
    found = read_curves(tmp_path)
    assert found.keys() == curves.keys()
    for key, curve in curves.items():
        assert [update for update, _ in found[key]] == [update for update, _ in curve]
        assert [value for _, value in found[key]] == pytest.approx([value for _, value in curve], rel=5e-4)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(-(10**6), 10**6), st.integers(0, 300)), min_size=1))
def test_sums_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    lengths = np.array(sorted(row[0] for row in rows))
    sums = np.array([row[1:] for row in rows], float)
    write_sentences(folder, SentenceSums(lengths, {"cer": sums, "shares": sums + 0.5}))
    found = read_sentences(folder)
    assert found is not None and found.lengths.tolist() == lengths.tolist()
    assert found.sums.keys() == {"cer"} and np.array_equal(found.sums["cer"], sums)


def test_sentences_are_sorted_alike_whatever_was_written() -> None:
    dice = random.Random(0)
    rows = [{"source": "a " * dice.randint(1, 4), "references": ["b " * dice.randint(1, 4)]} for _ in range(30)]
    texts = [[" ".join("b" * dice.randint(0, 5)) for _ in rows] for _ in range(2)]
    kept = [
        sentence_sums(
            [{**row, "hypothesis": text} for row, text in zip(rows, own, strict=True)], ["bleu"], MetricsConfig()
        )
        for own in texts
    ]
    assert kept[0] is not None and kept[1] is not None
    assert kept[0].lengths.tolist() == kept[1].lengths.tolist() == sorted(len(row["source"].split()) for row in rows)
    assert kept[0].sums["bleu"][:, 9].tolist() == kept[1].sums["bleu"][:, 9].tolist()  # of the references
    assert kept[0].sums["bleu"][:, 8].tolist() != kept[1].sums["bleu"][:, 8].tolist()


BOMB = base64.b64encode(zlib.compress(b"\0" * 10**7)).decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"schema": 2}',
        b'{"schema": 1}',
        *(
            json.dumps({"schema": 1, "lengths": [[1, 2]], "metrics": {"bleu": {"kinds": 10, "sums": sums}}}).encode()
            for sums in ("?", "AAAA", BOMB, 5)
        ),
        b'{"schema": 1, "lengths": [[1, -2]], "metrics": {}}',
        b'{"schema": 1, "curves": [{"updates": [1], "values": {"a": [1, 2]}}]}',
        b'{"schema": 1, "curves": [3], "lengths": 3, "metrics": 3}',
    ],
)
def test_what_is_damaged_is_as_if_it_were_not_there(content: bytes, tmp_path: Path) -> None:
    for name in (CURVES_NAME, SENTENCES_NAME):
        (tmp_path / name).write_bytes(content)
    assert read_sentences(tmp_path) is None
    assert read_curves(tmp_path) == {}


def test_runs_exported_before_have_neither(results: list[TrialResult], tmp_path: Path) -> None:
    found = exported(CONFIG, results, tmp_path)
    for name in (CURVES_NAME, SENTENCES_NAME):
        for path in tmp_path.rglob(name):
            path.unlink()
    evidence: Any = read_evidence(CONFIG, found)
    assert not learning_curves(evidence)
    (figure,) = by_source_length(evidence)
    assert OF_SENTENCES not in figure.caption
    shutil.rmtree(tmp_path)
