"""Whether two runs are one: weights, optimiser, history, outputs and scores, in every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seq2seq_lightning.experiments.files import read_json
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.checkpoints import read_checkpoint


def same(one: Any, other: Any) -> bool:
    """Whether two nests of plain values and tensors are equal in every bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_run(run_dir: Path, other: Path) -> None:
    """Equal weights and training states in all kept checkpoints, equal history, equal outputs and scores."""
    assert read_index(run_dir / "checkpoints") == read_index(other / "checkpoints")
    for entry in read_index(run_dir / "checkpoints").kept:
        one, two = (read_checkpoint(folder / "checkpoints" / entry.file) for folder in (run_dir, other))
        assert same(one.weights, two.weights)
        for state in ("optimizer_states", "lr_schedulers", "plateau", "ema"):
            assert same(one.training.get(state), two.training.get(state)), state
    assert (run_dir / "history.jsonl").read_bytes() == (other / "history.jsonl").read_bytes()
    assert scores_of(run_dir) == scores_of(other)


def scores_of(run_dir: Path) -> dict[str, Any]:
    """Scores without the seconds they took, and hypotheses, by decoding."""
    found = {}
    for folder in sorted((run_dir / "decodings").iterdir()):
        scores = read_json(folder / "scores.json")
        del scores["seconds"], scores["sentences_per_second"]
        found[folder.name] = (scores, (folder / "hypotheses.jsonl").read_text("utf-8"))
    return found
