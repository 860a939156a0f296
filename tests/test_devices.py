"""However one update is divided, over devices, micro-batches or machines, it is the same update."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.commands.processes import run_in_own_tree
from seq2seq_lightning.config import PathsConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.settings import TrainerConfig
from tests.bits import assert_same_run, scores_of
from tests.terminal import SMALL, below, finish, only_run, start, stop, updates_logged, wait_for
from tests.training.tiny import Trained, tiny_config

CLIP = 0.2


def divided(folder: Path, ratio: float, **trainer: Any) -> Trained:
    """50 updates of 8 rows, 2 in the last one of an epoch, of 1 to 10 symbols each, by real processes."""
    config = tiny_config(
        optimizer={"name": "adam", "clip_norm": CLIP},
        teacher_forcing={"name": "constant", "ratio": ratio},
        trainer={"max_steps": 50, "precision": "64-true", "threads": 1, **trainer},
        checkpoint={"after_scoring": "keep_all"},
        validation={"every": 10},
    )
    job = Job.of(replace(config, paths=PathsConfig(str(folder))), [])
    run_in_own_tree(job)
    return Trained(job.folder, config)


@pytest.mark.very_slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_one_times_eight_is_two_times_four_is_four_micro_batches_of_two(ratio: float, tmp_path: Path) -> None:
    one = divided(tmp_path / "one", ratio)
    assert len(one.curve("train/loss")) == 50 and len(one.curve("val/exact_match")) == 5
    norms = one.curve("train/gradient_norm")
    assert sum(norm > CLIP for norm in norms) > 25  # clipping acts
    others = {
        "two devices": divided(tmp_path / "two", ratio, devices=2),
        "four micro-batches": divided(tmp_path / "four", ratio, accumulate=4),
        "both": divided(tmp_path / "both", ratio, devices=2, accumulate=2),
    }
    for name, other in others.items():
        assert other.history.keys() == one.history.keys()
        far = {key: abs(one.history[key] - other.history[key]) for key in one.history if key[1] != "train/passes"}
        assert max(far.values()) < 1e-9, name
        pairs = [(tensor, other.weights[parameter]) for parameter, tensor in one.weights.items()]
        assert max(float((mine - theirs).abs().max()) for mine, theirs in pairs) < 1e-9, name
        found, expected = scores_of(other.folder), scores_of(one.folder)
        assert (
            [each["sentences"] for each, _ in found.values()]
            == [9]
            == [each["sentences"] for each, _ in expected.values()]
        )


NODES = [*SMALL, "trainer.nodes=2", "trainer.precision=64-true", "teacher_forcing.ratio=0.5", "validation.every=30"]


def two_machines(settings: list[str], folder: Path) -> list[subprocess.Popen[str]]:
    """The same command twice, as if on two machines that share a folder."""
    meeting = f"trainer.rendezvous=localhost:{free_port()}"
    words = [*settings, "trainer.max_steps=120", "checkpoint.after_scoring=keep_all", meeting]
    return [start("train", words, folder) for _ in range(2)]


def has_come_to(update: int, folder: Path) -> bool:
    return updates_logged(folder) >= update


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.very_slow
@pytest.mark.timeout(1800)
def test_two_machines_are_stopped_together_and_equal_one(tmp_path: Path) -> None:
    """Two commands on this machine, each with a torchrun of its own; a stop of one of them stops both."""

    first, second = two_machines(NODES, tmp_path)
    assert stop(first, signal.SIGTERM, lambda: updates_logged(tmp_path) >= 40).status == 143
    assert finish(second).status == 143
    assert state_of(only_run(tmp_path)).state is State.interrupted
    endings = [finish(each) for each in two_machines(NODES, tmp_path)]
    assert [ended.status for ended in endings] == [0, 0], endings
    assert all("test/exact_match" in ended.out for ended in endings)
    run_dir = only_run(tmp_path)
    assert read_record(run_dir).status == "completed"
    config = read_record(run_dir).config
    config["trainer"] |= {"nodes": 1, "rendezvous": None, "devices": 1}
    config["paths"]["runs"] = str(tmp_path / "alone")
    job = Job(str(tmp_path / "alone" / "run"), run_dir.name, config)
    run_in_own_tree(job)
    one, other = (last_checkpoint(folder / "checkpoints") for folder in (run_dir, job.folder))
    assert one is not None and other is not None and one.name == other.name
    weights, expected = read_checkpoint(one).weights, read_checkpoint(other).weights
    assert max(float((weights[name] - expected[name]).abs().max()) for name in expected) < 1e-9
    assert {tensor.dtype for tensor in weights.values()} == {torch.float64}


DISTURBED = [
    *SMALL,
    "trainer.nodes=2",
    "teacher_forcing.ratio=0.5",
    "model.encoder.dropout.embedding=0.3",
    "optimizer.ema=0.9",
    "trainer.accumulate=2",
    "validation.every=30",
    "checkpoint.every=10",
]


@pytest.mark.very_slow
@pytest.mark.timeout(1800)
def test_a_run_that_loses_one_of_two_machines_is_continued_with_the_same_bits(tmp_path: Path) -> None:
    """Each machine is lost once, with all its processes; the other ends by itself, and both commands are repeated."""
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    assert [finish(each).status for each in two_machines(DISTURBED, undisturbed)] == [0, 0]
    for victim, update in ((0, 35), (1, 75)):
        machines = two_machines(DISTURBED, disturbed)
        wait_for(machines[victim], partial(has_come_to, update, disturbed))
        for process in (machines[victim].pid, *below(machines[victim].pid)):
            os.kill(process, signal.SIGKILL)
        assert finish(machines[victim]).status == -signal.SIGKILL
        other = finish(machines[1 - victim])
        assert other.status == 1, other
        assert state_of(only_run(disturbed)).state in (State.failed, State.interrupted)
    assert [finish(each).status for each in two_machines(DISTURBED, disturbed)] == [0, 0]
    assert_same_run(only_run(disturbed), only_run(undisturbed))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nodes": 2}, r"trainer\.nodes=2 needs trainer\.rendezvous=host:port.*it is None"),
        ({"nodes": 2, "rendezvous": "first"}, "it is first"),
        ({"nodes": 2, "rendezvous": ":29500"}, "it is :29500"),
        ({"rendezvous": "first:29500"}, r"trainer\.rendezvous=first:29500 changes nothing, because trainer\.nodes=1"),
        ({"nodes": 0}, r"trainer\.nodes is 0; it must be at least 1"),
    ],
)
def test_machines_need_a_place_to_meet(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        TrainerConfig(**values)


def test_every_process_of_every_machine_has_rows_to_work_on() -> None:
    with pytest.raises(
        ConfigurationError, match=r"less than trainer\.nodes × trainer\.devices × trainer\.accumulate = 12"
    ):
        tiny_config(trainer={"nodes": 3, "devices": 2, "accumulate": 2, "rendezvous": "first:29500"})
