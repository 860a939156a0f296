"""Where a training has its codecs from: its texts, or, where a tokenizer has learnt before, an earlier checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.building import build_codecs
from seq2seq_lightning.text.codec import Codec, SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SideTextConfig, TextConfig
from seq2seq_lightning.text.vocabulary import Vocabulary
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.ranks import text_from_first_rank

AnyCodec = TypeVar("AnyCodec", bound=Codec)


def training_codecs(
    config: TextConfig, sources: Iterable[str], targets: Iterable[str], earlier: Path | None, tied: bool = False
) -> tuple[SourceCodec, TargetCodec]:
    """The codecs of a training; earlier: the checkpoint that it resumes, or whose weights it starts from; tied: both
    sides share one embedding, and so need one vocabulary.

    A tokenizer learns once: what it knew in that checkpoint it goes on with, if it is the one that is asked for,
    whatever the texts are now. Where several processes train, the first one learns.
    """
    found = _codecs(config, sources, targets, earlier)
    if tied:
        _check_one_vocabulary(*(codec.vocabulary for codec in found))
    return found


def _codecs(
    config: TextConfig, sources: Iterable[str], targets: Iterable[str], earlier: Path | None
) -> tuple[SourceCodec, TargetCodec]:
    if not config.is_learnt:
        return build_codecs(config, sources, targets)
    if earlier is not None:
        stored = read_checkpoint(earlier).vocabularies
        source, target = SourceCodec.from_plain(stored["source"]), TargetCodec.from_plain(stored["target"])
        if _serves(source, config.source) and _serves(target, config.target) and _is_joint_as(config, source, target):
            return _again(source, config.source, sources), _again(target, config.target, targets)

    def learn() -> str:
        return json.dumps([codec.to_plain() for codec in build_codecs(config, sources, targets)])

    plain = json.loads(text_from_first_rank("codecs", learn))
    return SourceCodec.from_plain(plain[0]), TargetCodec.from_plain(plain[1])


def _check_one_vocabulary(source: Vocabulary, target: Vocabulary) -> None:
    """Refuse one embedding for ids that mean one thing in a source and another in a target."""
    for index, (one, other) in enumerate(zip_longest(source.tokens, target.tokens)):
        if one != other:
            raise ConfigurationError(
                f"`model.decoder.tie=all` shares one embedding, but the vocabularies differ: id {index} is {one!r} in "
                f"the source ({len(source):,} tokens) and {other!r} in the target ({len(target):,}). Set "
                "`text.joint=true`, or `model.decoder.tie=decoder`."
            )


def _serves(stored: Codec, config: SideTextConfig) -> bool:
    """Whether a stored tokenizer is the one that is asked for, chance in training apart."""
    own = stored.config
    same = own.tokenizer.without_chance() == config.tokenizer.without_chance() and own.lowercase == config.lowercase
    return same or not config.is_learnt


def _is_joint_as(config: TextConfig, source: SourceCodec, target: TargetCodec) -> bool:
    return not config.joint or source.learnt == target.learnt


def _again(stored: AnyCodec, config: SideTextConfig, texts: Iterable[str]) -> AnyCodec:
    if stored.learnt is None:
        return type(stored).build(config, texts)
    return type(stored).of_learnt(config, stored.learnt)
