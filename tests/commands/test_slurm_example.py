"""The example for Slurm names every option that the launcher has, and none that it has not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from seq2seq_lightning.config_store import conf_dir, register_schemas

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "slurm"
FILE = EXAMPLES / "hydra" / "launcher" / "slurm.yaml"


def test_jobs_outlive_their_first_hour() -> None:
    """The launcher's own defaults end a job after an hour, for good; and torchrun must be one task."""
    values = yaml.safe_load(FILE.read_text("utf-8"))
    assert values["defaults"] == ["submitit_slurm", "_self_"]
    assert values["timeout_min"] > 60 and values["max_num_timeout"] > 0 and values["tasks_per_node"] == 1


def test_every_option_of_the_launcher_is_named() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    values = yaml.safe_load(FILE.read_text("utf-8"))
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        overrides = [f"hydra.searchpath=[file://{EXAMPLES}]", "hydra/launcher=slurm"]
        launcher = compose("train", overrides, return_hydra_config=True).hydra.launcher
    assert set(launcher) - {"_target_"} == set(values) - {"defaults"}
    assert {key: launcher[key] for key in values if key != "defaults"} == {
        key: value for key, value in values.items() if key != "defaults"
    }
