"""Both sides' ways from text to ids, each from its own training texts, or one of both from all of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import TextConfig


def build_codecs(config: TextConfig, sources: Iterable[str], targets: Iterable[str]) -> tuple[SourceCodec, TargetCodec]:
    """The codecs of the training texts; each is walked once. What is joint is built once, and both have it."""
    if not config.joint:
        return SourceCodec.build(config.source, sources), TargetCodec.build(config.target, targets)
    both = SourceCodec.build(config.source, chain(sources, targets))
    return both, TargetCodec(config.target, both.vocabulary, both.learnt)
