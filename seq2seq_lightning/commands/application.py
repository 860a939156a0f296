"""Runs a Hydra application so that every mistake is one clear message and every ending has its exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.errors import UserError

MISTAKE, FAILED = 2, 1


class JobFailed(Exception):
    """A job, or some jobs of a sweep, did not end well; the message says which and where the log is."""


def run_application(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Compose `config_name` with the command line and hand it to `task`; exits with 2 on a mistake, 1 on a failure."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own report
    register_schemas()
    try:
        hydra.main(version_base="1.3", config_path=conf_dir(), config_name=config_name)(task)()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(MISTAKE)
    except JobFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("stopped from the keyboard; the same command continues.", file=sys.stderr)
        sys.exit(130)


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved composition as plain values."""
    values = OmegaConf.to_container(config, resolve=True, enum_to_str=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key != "hydra"}


def explain(error: BaseException) -> str:
    """Hydra's and OmegaConf's words, with the cause that names the key, without their internal lines."""
    lines = str(error).splitlines()
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException | HydraException) and str(cause) not in str(error):
        lines += str(cause).splitlines()
    kept = [
        line
        for line in lines
        if not re.match(r"\s*(object_type=|reference_type=|Config search path|\tprovider=|Set the)", line)
    ]
    text = "\n".join(line for line in kept if line.strip())
    return re.sub(
        r"To append to your config use \+(\S+)",
        "There is no such option; --help and --cfg job list what there is.",
        text,
    )
