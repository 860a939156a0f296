"""The file between the command that plans and the worker that works."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from seq2seq_lightning.config import Config, PathsConfig, fingerprint
from seq2seq_lightning.decoding import BeamConfig, GreedyConfig
from seq2seq_lightning.job import Job
from seq2seq_lightning.metrics import MetricsConfig


def job(runs: Path, **changes: object) -> Job:
    return Job.of(replace(Config(name="here", paths=PathsConfig(str(runs))), **changes), ["seed=1"])  # type: ignore[arg-type]


def test_a_job_lies_where_its_name_and_fingerprint_say(tmp_path: Path) -> None:
    made = job(tmp_path)
    assert made.fingerprint == fingerprint(Config())
    assert made.folder == tmp_path / "here" / made.fingerprint
    assert (made.train, made.test_sets, made.overrides) == (True, None, ["seed=1"])
    assert not made.folder.exists()  # nothing is written before it is asked for


def test_the_place_does_not_depend_on_where_the_worker_starts() -> None:
    assert Job.of(Config(), []).folder.is_absolute()


def test_scores_keep_their_place_when_settings_are_added(tmp_path: Path) -> None:
    """Those committed long ago are found under the names they were filed by."""
    root, count = Path(__file__).parents[1] / "results", 0
    for record in root.glob("*/*/record.json"):
        kept = json.loads(record.read_text())
        found = Job(str(record.parent), kept["fingerprint"], kept["config"])
        for path in record.parent.glob("decodings/*/scores.json"):
            test_set = json.loads(path.read_text())["test_set"]
            assert found.scores_dir(found.decodings()[0], test_set) == path.parent
            count += 1
    assert count >= 40


def test_what_decides_scores_decides_where_they_are_kept(tmp_path: Path) -> None:
    made = job(tmp_path)
    places = {
        made.scores_dir(decoding, "test") for decoding in (BeamConfig(), GreedyConfig(), GreedyConfig(banned=["a"]))
    }
    places |= {job(tmp_path, metrics=MetricsConfig(report=["bleu"])).scores_dir(GreedyConfig(), "test")}
    places |= {made.scores_dir(GreedyConfig(), "other"), made.scores_dir(GreedyConfig(no_repeat_ngram=2), "test")}
    assert len(places) == 6


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = job(tmp_path, decoding=BeamConfig(beam_width=3))
    assert Job.read(made.write()) == made
    assert Config.from_plain(Job.read(made.write()).config).decoding == BeamConfig(beam_width=3)


def test_the_file_holds_plain_values_only(tmp_path: Path) -> None:
    path = job(tmp_path).write()
    assert json.loads(path.read_text())["config"] == json.loads(json.dumps(job(tmp_path).config))


def test_jobs_that_share_a_training_share_a_folder_and_no_file(tmp_path: Path) -> None:
    greedy = job(tmp_path)
    others = [
        job(tmp_path, decoding=BeamConfig()),
        job(tmp_path, metrics=MetricsConfig(report=["bleu"])),
        replace(greedy, test_sets=["test"]),
    ]
    for other in others:
        assert other.folder == greedy.folder
    assert len({made.write() for made in [greedy, *others]}) == 4
    assert greedy.write() == replace(greedy).write()


def test_another_training_has_another_folder(tmp_path: Path) -> None:
    assert job(tmp_path, seed=2).folder != job(tmp_path).folder
