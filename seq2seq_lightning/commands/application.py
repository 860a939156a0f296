"""Runs a Hydra application so that every mistake is one clear message and every ending has its exit status."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from seq2seq_lightning.commands.misfits import cause_of, file_of, is_from_hydra, misfit
from seq2seq_lightning.commands.pipes import reader_may_leave
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.errors import UserError, nearest

MISTAKE, FAILED = 2, 1
EXTRAS = {  # options of Hydra that come with a package of ours
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/sweeper/optuna": "optuna",
}


class JobFailed(Exception):
    """A job, or some jobs of a sweep, did not end well; the message says which and where the log is.

    status: the exit status of the command.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def run_application(config_name: str, task: Callable[[DictConfig], Any], header: str | None = None) -> None:
    """Compose `config_name` with the command line and hand it to `task`; exits with 2 on a mistake, 1 on a failure.

    header: what `--help` says of a command that composes the configuration of another.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own report
    problems: list[Exception] = []

    def guarded(composed: DictConfig) -> Any:
        """Keep what a single run raises: Hydra would report it in words of its own first."""
        try:
            return task(composed)
        except (UserError, JobFailed, HydraException, OmegaConfBaseException) as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise
            problems.append(error)
            return None

    try:
        register_schemas()
        if header is not None:
            sys.argv.append(f"hydra.help.header='{Path(sys.argv[0]).name}: {header}'")
        with reader_may_leave(), _without_schemas():
            hydra.main(version_base="1.3", config_path=conf_dir(), config_name=config_name)(guarded)()
        if problems:
            raise problems[0]
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(MISTAKE)
    except ValueError as error:
        if not is_from_hydra(error):
            raise
        hint = ". A group takes the name of one of its files: model/cell=lstm." * ("group" in str(error))
        print(f"error: {error}{hint}", file=sys.stderr)
        sys.exit(MISTAKE)
    except JobFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(error.status if error.status in (MISTAKE, 130, 143) else FAILED)
    except KeyboardInterrupt:
        print("stopped from the keyboard; the same command continues.", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _without_schemas() -> Iterator[None]:
    """Leave the schemas out of `--help`: they are how options are typed, not options."""
    if not {"--help", "-h"} & set(sys.argv[1:]):
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if not re.match(r"schema(/\S+)?: ", line):
                print(line)


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved composition as plain values."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    values = OmegaConf.to_container(own, resolve=True, enum_to_str=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def explain(error: BaseException) -> str:
    """Hydra's and OmegaConf's words, with the cause that names the key, without their internal lines."""
    lines = str(error).splitlines()
    cause = cause_of(error)
    if (sentence := misfit(error)) is not None:
        return file_of(error) + sentence
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is needed and not given: add {error.full_key}=… to the command."
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and dataclasses.is_dataclass(cause.object_type):
        allowed = [field.name for field in dataclasses.fields(cause.object_type)]
        return f"{file_of(error)}{cause.full_key} is no option. {nearest(str(cause.key), allowed)}"
    if isinstance(cause, OmegaConfBaseException | HydraException) and str(cause) not in str(error):
        lines += str(cause).splitlines()
    kept = [
        line
        for line in lines
        if not re.match(r"\s*(object_type=|reference_type=|Config search path|\tprovider=|Set the)", line)
    ]
    text = "\n".join(line.strip() for line in kept if line.strip())
    missing = re.search(r"Could not find '\S+/(\S+)'", text)
    for option, extra in EXTRAS.items():
        if f"Could not find '{option}'" in text:
            group, _, name = option.rpartition("/")
            return f"{group}={name} needs the extra: pip install 'seq2seq-lightning[{extra}]'."
    if missing and (options := re.search(r"Available options in '\S+':\n([\w\n]+)", text)):
        text = f"{missing.group(0)}. {nearest(missing.group(1), options.group(1).split())}"
    return re.sub(r"To append to your config use .*", "`--help` and `--cfg job` list what there is.", text)
