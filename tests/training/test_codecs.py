"""Where the codecs of a training come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.building import build_codecs
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.pieces import PiecesTokenizer
from seq2seq_lightning.text.sides import TextConfig
from seq2seq_lightning.training.checkpoints import Checkpoint, write_checkpoint
from seq2seq_lightning.training.codecs import training_codecs
from tests.text.registered import SIZE, TEXTS

OTHER = [text[::-1] for text in TEXTS]
BPE = {"name": "bpe", "vocab_size": SIZE}


def config(joint: bool = False, **sides: dict[str, Any]) -> TextConfig:
    plain = {side: {"tokenizer": BPE} | sides.get(side, {}) for side in ("source", "target")}
    return Config.from_plain({"text": plain | {"joint": joint}}).text


def stored(folder: Path, source: SourceCodec, target: TargetCodec) -> Path:
    path = folder / "step-1.ckpt"
    vocabularies = {"source": source.to_plain(), "target": target.to_plain()}
    write_checkpoint(path, Checkpoint({}, {}, vocabularies, {}))
    return path


def test_what_was_learnt_before_is_not_learnt_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = training_codecs(config(), TEXTS, OTHER, None)
    assert first == build_codecs(config(), TEXTS, OTHER)
    checkpoint = stored(tmp_path, *first)
    monkeypatch.setattr(PiecesTokenizer, "learn", None)
    assert training_codecs(config(), ["other"], ["texts"], checkpoint) == first
    dropping = config(source={"tokenizer": BPE | {"dropout": 0.1}})
    source, target = training_codecs(dropping, [], [], checkpoint)
    assert (source.learnt, source.cuts_by_chance, target) == (first[0].learnt, True, first[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"source": {"tokenizer": BPE | {"vocab_size": SIZE - 1}}},
        {"target": {"lowercase": True}},
        {"source": {"tokenizer": BPE | {"name": "unigram"}}},
        {"joint": True},
    ],
    ids=str,
)
def test_another_tokenizer_than_the_stored_one_is_learnt_anew(changed: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = stored(tmp_path, *build_codecs(config(), TEXTS, OTHER))
    wanted = config(**changed)
    assert training_codecs(wanted, TEXTS, OTHER, checkpoint) == build_codecs(wanted, TEXTS, OTHER)


def test_a_side_that_learns_nothing_has_the_vocabulary_of_the_texts(tmp_path: Path) -> None:
    mixed = config(target={"tokenizer": {"name": "whitespace"}})
    checkpoint = stored(tmp_path, *build_codecs(mixed, TEXTS, ["a b"]))
    source, target = training_codecs(mixed, [], ["b c"], checkpoint)
    assert target.vocabulary.tokens[4:] == ("b", "c")
    assert len(source.vocabulary) == SIZE


def test_one_embedding_needs_one_vocabulary_not_two_of_one_size() -> None:
    words = Config().text
    with pytest.raises(ConfigurationError, match=r"id 4 is 'a' in the source \(6 tokens\) and 'x' in the target \(6\)"):
        training_codecs(words, ["a b"], ["x y"], None, tied=True)
    with pytest.raises(ConfigurationError, match=r"id 6 is None in the source .* Set `text.joint=true`, or `model.dec"):
        training_codecs(words, ["a b"], ["a b c"], None, tied=True)
    source, target = training_codecs(TextConfig(joint=True), ["a b"], ["x y"], None, tied=True)
    assert source.vocabulary == target.vocabulary


def test_models_that_copy_leave_nothing_to_chance() -> None:
    plain = {"model": {"decoder": {"copy": "pointer_generator"}}}
    Config.from_plain({**plain, "text": {"target": {"tokenizer": BPE}}})
    with pytest.raises(
        ConfigurationError, match=r"text.target.tokenizer cuts by chance in training, but model.decoder"
    ):
        Config.from_plain({**plain, "text": {"target": {"tokenizer": BPE | {"dropout": 0.1}}}})
