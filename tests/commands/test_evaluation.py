"""The job of decoding a finished run again: of its own configuration, and refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.evaluation import evaluation_job
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.decoding import BeamConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.job import Job

RUNS = sorted(path.parent for path in (Path(__file__).parents[2] / "results").glob("scan_primitives/*/record.json"))


def job(*overrides: str) -> Job:
    register_schemas()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return evaluation_job(plain(compose("evaluate", list(overrides))), list(overrides))


def test_it_is_the_runs_own_configuration_with_another_decoding() -> None:
    asked = [f"run={RUNS[0]}", "decoding=beam", "decoding.beam_width=3", "quality=10", "test_sets=[test]"]
    made = job(*asked)
    assert made.decodings() == [BeamConfig(beam_width=3)]
    assert (made.folder, made.fingerprint, made.train) == (RUNS[0], RUNS[0].name, False)
    assert (made.quality, made.test_sets, made.members, made.overrides) == (10, ["test"], [], asked)


def test_several_runs_are_members_of_the_first() -> None:
    made = job(f"run=[{RUNS[0]},{RUNS[1]},{RUNS[2]}]", "average=probabilities")
    assert (made.folder, made.members, made.average) == (RUNS[0], [str(RUNS[1]), str(RUNS[2])], "probabilities")
    beam = BeamConfig()
    again = job(f"run=[{RUNS[0]},{RUNS[2]},{RUNS[1]}]", "average=probabilities")
    assert made.scores_dir(beam, "test") == again.scores_dir(beam, "test")  # their order does not matter
    assert made.scores_dir(beam, "test").name.startswith("beam-of-3-test-")
    others = [job(f"run=[{RUNS[0]},{RUNS[1]},{RUNS[2]}]"), job(f"run=[{RUNS[0]},{RUNS[1]}]"), job(f"run={RUNS[0]}")]
    assert len({each.scores_dir(beam, "test") for each in [made, *others]}) == 4


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["quality=5", "decoding=beam"],
            r"quality=5 compares a search with a beam that is no wider than its own \(5\)",
        ),
        (["quality=1"], r"quality=1 compares a search with a beam that is no wider than its own \(1\)"),
        (["test_sets=[tests]"], "test_sets names 'tests'. Did you mean 'test'"),
        (["decoding=mbr", "decoding.utility=blue"], "decoding.utility is 'blue', which is no metric"),
    ],
)
def test_what_cannot_be_asked_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        job(f"run={RUNS[0]}", *overrides)
