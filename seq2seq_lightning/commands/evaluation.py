"""The job of decoding and scoring a finished run once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq_lightning.command_config import EvaluateConfig
from seq2seq_lightning.commands.grids import take_further
from seq2seq_lightning.config import FAMILIES, Config
from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.experiments.record import Record, read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.plugins import needing
from seq2seq_lightning.structure import from_plain, to_plain


def evaluation_job(values: dict[str, Any], overrides: Sequence[str]) -> Job:
    """The run's own configuration with another decoding, and metrics where given; of several runs the first one's."""
    also, own = take_further(values, overrides)
    asked = from_plain(EvaluateConfig, values, FAMILIES)
    folder, *members = asked.runs()
    record, *_ = [_completed(each) for each in (folder, *members)]
    config = dict(record.config)
    config["decoding"] = to_plain(asked.decoding)
    config["metrics"] = _changed(config["metrics"], asked.metrics)
    alone = {"devices": 1, "nodes": 1, "rendezvous": None}
    config["trainer"] = {**config["trainer"], **alone, "threads": asked.threads}
    width = getattr(asked.decoding, "beam_width", 1)
    if asked.quality is not None and asked.quality <= width:
        raise ConfigurationError(
            f"quality={asked.quality} compares a search with a beam that is no wider than its own ({width}). Set it to "
            "more, such as 50, or null."
        )
    known = [name.removeprefix("test.") for name in record.data["sizes"] if name.startswith("test.")]
    for name in asked.test_sets or []:
        if name not in [*known, "train"]:
            raise ConfigurationError(f"test_sets names {name!r}. {nearest(name, known)}")
    with needing({name: seen for name, seen in record.versions.items() if name != "python"}, str(folder)):
        Config.from_plain(config)  # the rules that span groups, before any process starts
    return Job(
        str(folder.absolute()),
        record.fingerprint,
        config,
        own,
        train=False,
        test_sets=asked.test_sets,
        also=also,
        members=[str(member.absolute()) for member in members],
        average=asked.average.name,
        quality=asked.quality,
    )


def _completed(folder: Path) -> Record:
    record = read_record(folder)
    if record.status != "completed":
        raise ConfigurationError(f"run={folder} is {record.status}; finish it with the command that began it.")
    return record


def _changed(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The plain values with some of them replaced, however deep they lie."""
    changed = dict(plain)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(changed.get(key), dict)
        changed[key] = _changed(changed[key], value) if nested else value
    return changed
