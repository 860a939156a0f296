"""Jobs that differ in decoding only become one, and its decodings travel as an override that no configuration keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.grids import grids
from seq2seq_lightning.commands.processes import training_job
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.decoding import BeamConfig, DecodingConfig, GreedyConfig, LengthPenalty, MBRConfig, SampleConfig
from seq2seq_lightning.job import Job
from seq2seq_lightning.structure import to_plain

OTHERWISE = {"test_sets": ["test"], "members": ["elsewhere"], "quality": 50}
DECODINGS: list[DecodingConfig] = [
    GreedyConfig(),
    BeamConfig(beam_width=3, length_penalty=LengthPenalty.gnmt, alpha=0.6),
    GreedyConfig(banned=["a, 'b' {c}: [d]", "true", "\\\\ \\"]),
    MBRConfig(candidates=SampleConfig(samples=5, top_k=7, temperature=1e-3), utility="chrf"),
]


def job(folder: Path, decoding: DecodingConfig, train: bool = True, **changes: object) -> Job:
    config = replace(Config(paths=PathsConfig(str(folder))), decoding=decoding, **changes)  # type: ignore[arg-type]
    return replace(Job.of(config, []), train=train)


def test_decodings_travel_to_the_job_that_does_them(tmp_path: Path) -> None:
    """Through Hydra's grammar, whatever words they hold; what is recorded as the job's overrides does not name them."""
    jobs = [job(tmp_path, decoding) for decoding in DECODINGS]
    (grid,) = grids(range(4), jobs)
    assert grid.job.decodings() == DECODINGS and grid.numbers == (0, 1, 2, 3)
    overrides = grid.launched([[f"paths.runs={tmp_path}"], [], [], []])
    register_schemas()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("train", overrides)
        found = training_job(plain(composed), overrides)
        assert "decodings" in plain(composed)
        alone = training_job(plain(compose("train", overrides[:1])), overrides[:1])
    assert found.decodings() == DECODINGS
    assert found.overrides == [f"paths.runs={tmp_path}"]
    assert found.fingerprint == alone.fingerprint and found.config == alone.config


def test_jobs_that_differ_otherwise_stay_apart(tmp_path: Path) -> None:
    jobs = [job(tmp_path, DECODINGS[0]), job(tmp_path, DECODINGS[1], seed=2), job(tmp_path, DECODINGS[1])]
    jobs += [replace(jobs[0], **{key: value}) for key, value in OTHERWISE.items()]  # type: ignore[arg-type]
    assert [grid.numbers for grid in grids(range(6), jobs)] == [(0, 2), (1,), (3,), (4,), (5,)]


@pytest.mark.parametrize(("at_once", "parts"), [(1, 1), (3, 3), (9, 5)])
def test_what_only_decodes_is_shared_among_jobs_that_run_side_by_side(tmp_path: Path, at_once: int, parts: int) -> None:
    jobs = [job(tmp_path, BeamConfig(beam_width=width), train=False) for width in range(1, 6)]
    found = grids(range(5), jobs, at_once)
    assert len(found) == parts
    assert sorted(number for grid in found for number in grid.numbers) == [0, 1, 2, 3, 4]
    trained = [replace(each, train=True) for each in jobs]
    assert len(grids(range(5), trained, at_once)) == 1  # the first has to train


def test_a_decoding_asked_for_twice_is_done_once(tmp_path: Path) -> None:
    jobs = [job(tmp_path, GreedyConfig()), job(tmp_path, GreedyConfig())]
    (grid,) = grids(range(2), jobs)
    assert grid.job.decodings() == [GreedyConfig()] and grid.launched([["a"], ["b"]]) == ["a"]
    assert grid.name([["a"], ["b"]]) == "a"


def test_a_grid_has_a_file_and_an_ending_of_its_own(tmp_path: Path) -> None:
    alone = job(tmp_path, GreedyConfig())
    grid = replace(alone, also=[to_plain(BeamConfig())])
    assert grid.path != alone.path and Job.read(grid.write()) == grid
