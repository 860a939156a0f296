"""Weights & Biases: a tracked run per training and per later decoding, offline where no server answers, always ended.

Only rank 0 tracks. Nothing here decides a number: a tracker that is lost is a warning, never the end of a training.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.redaction import without_secrets
from seq2seq_lightning.metrics import higher_is_better
from seq2seq_lightning.training.settings import LoggerConfig, WandbLoggerConfig, WandbMode

STEP = "trainer/global_step"
LONGEST_TAG = 64  # letters; W&B refuses longer ones
LOSSES = ("train/loss", "val/loss", "val/perplexity", "val/free_running_loss")
QUIET: dict[str, Any] = {"console": "off", "silent": True, "disable_git": True}
PIXELS = 16  # of a picture of attention, per position


class JobType(Enum):
    """What a tracked run did, to be told apart within a group."""

    train = "train"
    evaluate = "evaluate"


@dataclass(frozen=True)
class RunIdentity:
    """What a tracker is told about a run."""

    directory: Path
    name: str
    fingerprint: str
    config: Mapping[str, Any]
    overrides: Sequence[str]
    group: str | None
    monitor: str | None  # the key whose best value is the run's summary
    mode: str  # min or max
    job_type: JobType = JobType.train
    part: str = ""  # what tells an evaluation from the training that it belongs to, and from others

    @property
    def id(self) -> str:
        """By which the tracker knows it; the same again continues it."""
        return f"{self.fingerprint}-{self.part}" if self.part else self.fingerprint


@rank_zero_only
def start_tracking(config: WandbLoggerConfig, run: RunIdentity) -> Any:
    """Start (or continue) the tracked run; offline where no key is configured or the server does not answer."""
    tracked = _online(config, run) if (mode := wandb_mode(config)) == "online" else None
    if tracked is None:
        tracked = _without_server("disabled" if mode == "disabled" else "offline", config, run)
    if tracked is None:
        return None
    tracked.define_metric(STEP)
    tracked.define_metric("*", step_metric=STEP)
    for key, best in _summaries(run).items() if run.job_type is JobType.train else ():
        tracked.define_metric(key, summary=best, step_metric=STEP)
    return tracked


def _online(config: WandbLoggerConfig, run: RunIdentity) -> Any:
    """The run on the server, or None, with a warning that says why not. Settings bound how long is waited for it."""
    bounds: dict[str, Any] = {
        "init_timeout": config.timeout,
        "login_timeout": config.timeout,
        "finish_timeout": config.timeout,
    }
    try:
        return wandb.init(mode="online", settings=wandb.Settings(**QUIET, **bounds), **_arguments(config, run))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"Weights & Biases could not be reached ({reason}); tracking offline.", stacklevel=4)
        wandb.teardown()  # what tried to reach the server still holds the run's id
        return None


def _without_server(mode: Any, config: WandbLoggerConfig, run: RunIdentity) -> Any:
    """The run in the run directory, or None, with a warning; raises ConfigurationError for names W&B does not take."""
    try:
        return wandb.init(mode=mode, settings=wandb.Settings(**QUIET), **_arguments(config, run))
    except wandb.errors.UsageError as error:
        raise ConfigurationError(f"logger=wandb is refused by Weights & Biases: {error}") from error
    except Exception as error:
        warnings.warn(f"Weights & Biases did not start ({error}); only history.jsonl is written.", stacklevel=4)
        return None


def wandb_mode(config: WandbLoggerConfig) -> str:
    """online, offline or disabled: what was asked for; with `auto` online only where a key is configured."""
    if config.mode is not WandbMode.auto:
        return config.mode.value
    asked = os.environ.get("WANDB_MODE", "online")
    if asked != "online":
        return "disabled" if asked == "disabled" else "offline"
    return "online" if _has_key() else "offline"


def _arguments(config: WandbLoggerConfig, run: RunIdentity) -> dict[str, Any]:
    """What is told about the run, with or without a server."""
    return {
        "project": config.project,
        "entity": config.entity,
        "id": run.id,
        "name": run.name,
        "group": run.group,
        "job_type": run.job_type.value,
        "tags": tags([*config.tags, *run.overrides]),
        "config": without_secrets(dict(run.config)),
        "dir": str(run.directory),
        "resume": "allow",
    }


def tags(words: Sequence[str]) -> list[str]:
    """Each once, without what looks like a key, and not longer than W&B takes."""
    return list(dict.fromkeys(tag[:LONGEST_TAG] for tag in without_secrets(list(words)) if tag))


def _summaries(run: RunIdentity) -> dict[str, str]:
    """Key → which of its values is the run's: the least loss, the best score, whatever came last."""
    metrics = run.config.get("validation", {}).get("metrics", [])
    best = {f"val/{metric}": "max" if higher_is_better(metric) else "min" for metric in metrics}
    return dict.fromkeys(LOSSES, "min") | best | ({run.monitor: run.mode} if run.monitor else {})


def _has_key() -> bool:
    """Whether an API key is configured, by environment or by `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    wandb.setup(settings=wandb.Settings(silent=True))
    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.Error:  # what is configured is no key
        return False


def log_scores(
    test_set: str,
    scores: Mapping[str, float],
    samples: Sequence[Sequence[str]] = (),
    attention: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Put final scores, a table of (source, reference, hypothesis) and pictures of attention into the tracked run."""
    run = wandb.run
    if run is None:
        return
    _survive("final scores", lambda: run.summary.update(dict(scores)))
    if samples:
        table = wandb.Table(columns=["source", "reference", "hypothesis"], data=[list(row) for row in samples])
        _survive("samples", lambda: run.log({f"samples/{test_set}": table}))
    if attention:
        pictures = [wandb.Image(_shades(row["weights"]), caption=_caption(row)) for row in attention]
        _survive("attention", lambda: run.log({f"attention/{test_set}": pictures}))


def log_checkpoint(path: Path | None, fingerprint: str) -> None:
    """Keep a checkpoint as an artifact of the tracked run, if there is one."""
    run = wandb.run
    if run is None or path is None:
        return
    artifact = wandb.Artifact(f"checkpoint-{fingerprint}", type="model")
    _survive("the checkpoint", lambda: (artifact.add_file(str(path)), run.log_artifact(artifact)))


def finish_tracking(exit_code: int) -> None:
    """End the tracked run, after failures too, so that nothing later logs into it."""
    run = wandb.run
    if run is not None:
        _survive("its end", lambda: run.finish(exit_code=exit_code))


def is_tracking() -> bool:
    """Whether a tracked run is open in this process."""
    return wandb.run is not None


@contextmanager
def tracked_evaluation(config: LoggerConfig, run: RunIdentity) -> Iterator[None]:
    """A tracked run of its own for scores that are made after the training, where it was tracked; ended with the block.

    Within a tracked training they are its own.
    """
    if not isinstance(config, WandbLoggerConfig) or is_tracking():
        yield
        return
    start_tracking(config, run)
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        finish_tracking(exit_code)


def _survive(what: str, tell: Callable[[], object]) -> None:
    """Tell the tracker something; what it cannot take is a warning, as the run directory holds it all."""
    try:
        tell()
    except Exception as error:
        warnings.warn(f"Weights & Biases did not take {what}: {error}", stacklevel=3)


def _shades(weights: Sequence[Sequence[float]]) -> np.ndarray:
    """(output, source) weights as a picture, dark where much."""
    shades = 255 * (1 - np.clip(np.array(weights, dtype=float), 0, 1))
    return np.kron(shades, np.ones((PIXELS, PIXELS))).astype(np.uint8)


def _caption(row: Mapping[str, Any]) -> str:
    return f"{' '.join(row['source'])} → {' '.join(row['output'])}"
