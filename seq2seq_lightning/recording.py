"""Keeps `record.json` true while a run goes on: begun, completed, failed, interrupted."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from seq2seq_lightning.config import TRAINING_VERSION, Config, plugins_used
from seq2seq_lightning.crash_points import crash_point
from seq2seq_lightning.data.example import Corpus
from seq2seq_lightning.experiments.record import (
    FILE_NAME,
    HISTORY_NAME,
    Record,
    git_state,
    hardware,
    installed_versions,
    write_record,
)
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.callbacks import Interrupted
from seq2seq_lightning.training.checkpoint_index import INDEX_NAME
from seq2seq_lightning.training.extending import describe_extended
from seq2seq_lightning.training.initial_weights import describe_initial_weights
from seq2seq_lightning.training.ranks import is_first_rank
from seq2seq_lightning.training.tracking import finish_tracking

PACKAGES = (
    *("torch", "lightning", "hydra-core", "omegaconf", "torchmetrics", "sacrebleu", "sentencepiece", "wandb"),
    "seq2seq-lightning",
)


@contextmanager
def recording(job: Job, corpus: Corpus, identity: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a dict for what becomes known on the way (parameters, timings); it ends in the record, whatever happens.

    Ends the tracked run too, so that nothing later logs into it.
    """
    record = _begin(job, corpus, identity)
    learnt: dict[str, Any] = {}
    status, error = "failed", None
    try:
        if is_first_rank():
            write_record(job.folder, record)
            _tell_left_out(corpus)
        yield learnt
        status = "completed"
    except (Interrupted, KeyboardInterrupt) as interruption:
        status, error = "interrupted", str(interruption) or "stopped from the keyboard"
        raise
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"
        raise
    finally:
        if is_first_rank():
            write_record(job.folder, replace(record, status=status, error=error, finished=_now(), **learnt))
        finish_tracking(0 if status == "completed" else 1)


@contextmanager
def recording_together(jobs: Sequence[Job], corpus: Corpus, identity: dict[str, str]) -> Iterator[None]:
    """The same for several trainings in one process, up to where each is finished by a run of its own."""
    records = [(job.folder, _begin(job, corpus, identity)) for job in jobs]
    for folder, record in records:
        write_record(folder, record)
    _tell_left_out(corpus)

    def end(status: str, error: str) -> None:
        for folder, record in records:
            write_record(folder, replace(record, status=status, error=error, finished=_now()))

    try:
        yield
    except (Interrupted, KeyboardInterrupt) as interruption:
        end("interrupted", str(interruption) or "stopped from the keyboard")
        raise
    except BaseException as failure:
        end("failed", f"{type(failure).__name__}: {failure}")
        raise


def _tell_left_out(corpus: Corpus) -> None:
    """Lines that `data.bad_input` lets be skipped never disappear in silence."""
    if corpus.skipped:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in corpus.skipped.items())
        print(f"left out of the data, by split and reason: {counts}", file=sys.stderr)


def clear(folder: Path) -> None:
    """Remove what an earlier training left, for `fresh=true`; in an order that a kill may end anywhere.

    Without its record a run is not finished, without its index it has no checkpoint and is not fitted.
    """
    (folder / FILE_NAME).unlink(missing_ok=True)
    for name in ("decodings", "checkpoints"):
        crash_point("clearing")
        (folder / name / INDEX_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (HISTORY_NAME, "history.csv", "progress.json", "windows.json", "fitted.json", "embeddings.json"):
        crash_point("clearing")
        (folder / name).unlink(missing_ok=True)


def _begin(job: Job, corpus: Corpus, identity: dict[str, str]) -> Record:
    commit, dirty = git_state(Path(__file__).parent)
    machine = hardware()
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    sizes = {"train": len(corpus.train), "val": len(corpus.val or [])}
    sizes |= {f"test.{name}": len(pairs) for name, pairs in corpus.test.items()}
    return Record(
        status="running",
        name=job.config["name"],
        fingerprint=job.fingerprint,
        training_version=TRAINING_VERSION,
        config=job.config,
        seed=job.config["seed"],
        overrides=job.overrides,
        commit=commit,
        dirty=dirty,
        versions=installed_versions(PACKAGES) | plugins_used(Config.from_plain(job.config)),
        hardware=machine,
        threads=torch.get_num_threads(),
        initial_weights=describe_initial_weights(job.config.get("init_from"))
        | describe_extended(job.config.get("extend")),
        data={"identity": identity, "sizes": sizes, "skipped": corpus.skipped},
        started=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
