"""A warm start: which file is meant, what names it, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config, fingerprint
from seq2seq_lightning.data.example import Corpus
from seq2seq_lightning.errors import CheckpointError, ConfigurationError
from seq2seq_lightning.experiments.record import Record, read_record, write_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.recording import recording
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.trained import new_model
from seq2seq_lightning.training.checkpoint_index import list_checkpoint
from seq2seq_lightning.training.checkpoints import Checkpoint, write_checkpoint
from seq2seq_lightning.training.initial_weights import initial_checkpoint, start_from, weights_hash

SMALL = {"embedding_size": 3, "hidden_size": 4}
MODEL = {"encoder": {**SMALL, "direction": "forward"}, "decoder": {**SMALL, "context": "initial"}}


def config(seed: int = 1, **changes: Any) -> Config:
    return Config.from_plain({"seed": seed, "model": {**MODEL, **changes}})


def codecs(words: str = "a b c") -> tuple[SourceCodec, TargetCodec]:
    text = config().text
    return SourceCodec.build(text.source, [words]), TargetCodec.build(text.target, [words])


def vocabularies(words: str = "a b c") -> dict[str, Any]:
    source, target = codecs(words)
    return {"source": source.vocabulary, "target": target.vocabulary}


def model(seed: int = 1, words: str = "a b c", **changes: Any) -> Seq2Seq:
    return new_model(config(seed, **changes), *codecs(words))


def finished(folder: Path, seed: int = 1, status: str = "completed", step: int = 7) -> Path:
    """A run directory with one checkpoint, without the training."""
    source, target = codecs()
    weights = {f"model.{name}": each for name, each in model(seed).state_dict().items()}
    weights["objective.critic"] = torch.ones(2)  # what an objective trained beside the model stays behind
    plain = {"source": source.to_plain(), "target": target.to_plain()}
    path = folder / "checkpoints" / f"step-{step}.ckpt"
    write_checkpoint(path, Checkpoint(weights, config(seed).to_plain(), plain, {"global_step": step}))
    list_checkpoint(path, step)
    write_record(folder, Record(status, "base", "abc", 1, config(seed).to_plain(), seed))
    return folder


# -- which file --------------------------------------------------------------------------------------------------------


def test_a_run_means_its_best_checkpoint_and_a_file_itself(tmp_path: Path) -> None:
    run = finished(tmp_path / "base" / "abc")
    path = run / "checkpoints" / "step-7.ckpt"
    assert initial_checkpoint(str(run)) == path
    assert initial_checkpoint(str(path)) == path
    assert initial_checkpoint(str(tmp_path / "base")) == path  # the only run of that name


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, ["is neither a checkpoint nor the directory of a run", "runs/<name>/<fingerprint>"]),
        (lambda folder: finished(folder, status="interrupted"), ["is interrupted", "Finish it", "step-N.ckpt"]),
        (lambda folder: [finished(folder / "x"), finished(folder / "y")], ["holds 2 runs (x, y)", "Name one"]),
        (
            lambda folder: (finished(folder) / "checkpoints" / "index.json").unlink(),
            ["has kept no checkpoint", "checkpoint.after_scoring=keep_best"],
        ),
    ],
)
def test_what_holds_no_weights_to_start_from_is_refused(prepare: Any, words: list[str], tmp_path: Path) -> None:
    prepare(tmp_path / "base")
    with pytest.raises(ConfigurationError) as caught:
        initial_checkpoint(str(tmp_path / "base"))
    for word in [f"init_from={tmp_path}/base", *words]:
        assert word in str(caught.value)


# -- what names it -----------------------------------------------------------------------------------------------------


def warm(init_from: Path) -> str:
    return fingerprint(Config.from_plain({"init_from": str(init_from)}))


def test_initial_weights_name_a_training_by_their_content_not_by_their_place(tmp_path: Path) -> None:
    one, moved, other = (finished(tmp_path / name, seed) for name, seed in (("one", 1), ("two", 1), ("three", 2)))
    assert warm(one) == warm(moved) == warm(one / "checkpoints" / "step-7.ckpt")
    assert len({warm(one), warm(other), fingerprint(Config())}) == 3


def test_a_checkpoint_written_anew_is_read_anew(tmp_path: Path) -> None:
    before = weights_hash(str(finished(tmp_path)))
    assert weights_hash(str(finished(tmp_path, seed=2))) != before


def test_the_record_tells_where_a_run_began(tmp_path: Path) -> None:
    base = finished(tmp_path / "base")
    plain = {"init_from": str(base), "paths": {"runs": str(tmp_path / "runs")}}
    job = Job.of(Config.from_plain(plain), [])
    with recording(job, Corpus([]), {}):
        pass
    assert read_record(job.folder).initial_weights == {
        "checkpoint": str(base / "checkpoints" / "step-7.ckpt"),
        "weights": weights_hash(str(base)),
        "global_step": 7,
        "fingerprint": "abc",
    }


# -- what fits ---------------------------------------------------------------------------------------------------------


def test_the_model_gets_the_weights_of_the_other_run(tmp_path: Path) -> None:
    mine, theirs = model(seed=5), model(seed=1)
    assert any(not torch.equal(one, theirs.state_dict()[name]) for name, one in mine.state_dict().items())
    start_from(str(finished(tmp_path)), mine, vocabularies())
    for name, one in mine.state_dict().items():
        assert torch.equal(one, theirs.state_dict()[name])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("a b d", ["knows 7 source tokens, this run's data have 7", "first difference is id 6: 'd' here, 'c' there"]),
        ("a b c d", ["knows 7 target tokens, this run's data have 8", "id 7: 'd', only here"]),
        ("a b", ["id 6: 'c', only there", "Use the data and text settings of that run."]),
    ],
)
def test_another_vocabulary_is_refused(words: str, told: list[str], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        start_from(str(finished(tmp_path)), model(), vocabularies(words))
    for each in told:
        assert each in str(caught.value)


def test_another_architecture_is_refused_by_the_names_of_its_parameters(tmp_path: Path) -> None:
    mine = model(encoder={**MODEL["encoder"], "layers": 2, "embedding_size": 5}, decoder=MODEL["decoder"])
    before = {name: each.clone() for name, each in mine.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        start_from(str(finished(tmp_path)), mine, vocabularies())
    message = str(caught.value)
    assert "has another architecture. missing there: " in message
    assert "of another shape: " in message and " 7×5 here, 7×3 there" in message
    assert "Use the model settings of that run." in message
    assert all(torch.equal(each, mine.state_dict()[name]) for name, each in before.items())  # nothing half loaded
