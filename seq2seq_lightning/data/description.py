"""A corpus in figures: sizes, lengths, coverage of the vocabularies, and how much of its batches is padding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import Corpus, EncodedSplit, Pairs, encode_split
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.data.streaming import parts_of
from seq2seq_lightning.text.codec import Codec, SourceCodec, TargetCodec


@dataclass
class SideFigures:
    """One side of a split."""

    lengths: dict[int, int]  # positions (source: marks included, target: without) → texts
    tokens: int  # without marks
    unknown_tokens: int  # tokens outside the vocabulary
    types: int  # distinct tokens
    unknown_types: int

    @property
    def unknown_share(self) -> float:
        """Tokens outside the vocabulary ÷ tokens."""
        return self.unknown_tokens / self.tokens if self.tokens else 0.0


@dataclass
class SplitFigures:
    """One split."""

    pairs: int
    source: SideFigures
    target: SideFigures


@dataclass
class CorpusFigures:
    """A corpus as a training would see it."""

    splits: dict[str, SplitFigures]  # by name: train, val, and the test sets by theirs
    vocabularies: dict[str, int]  # source, target → tokens, the four special ones included
    batches: int  # of the first epoch
    padding_share: float  # pad positions ÷ all positions of that epoch's batches, source and target
    skipped: dict[str, int] = field(default_factory=dict)  # "<split>/<reason>" → pairs left out


def describe(
    corpus: Corpus, source: SourceCodec, target: TargetCodec, batching: BatchingConfig, seed: int
) -> CorpusFigures:
    """Walk every split and plan the first epoch."""
    train = encode_split(corpus.train, source, target)
    splits = {"train": _split(corpus.train, train, source, target)}
    others = ({"val": corpus.val} if corpus.val else {}) | corpus.test
    for name, pairs in others.items():
        splits[name] = _split(pairs, encode_split(pairs, source, target), source, target)
    parts = parts_of(corpus.train, Codecs(source, target), batching.buffer) if batching.buffer else train
    epochs = Epochs(parts, batching, seed, target.config.eos)
    vocabularies = {"source": len(source.vocabulary), "target": len(target.vocabulary)}
    return CorpusFigures(splits, vocabularies, epochs.batches(0), epochs.padding_share(0), corpus.skipped)


def _split(pairs: Pairs, split: EncodedSplit, source: SourceCodec, target: TargetCodec) -> SplitFigures:
    return SplitFigures(
        len(split),
        _side(source, split.source_lengths, (pair.source for pair in pairs)),
        _side(target, split.target_lengths, (pair.target for pair in pairs)),
    )


def _side(codec: Codec, lengths: NDArray[np.integer], texts: Iterable[str]) -> SideFigures:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(codec.tokenize(text))
    unknown = [count for token, count in counts.items() if token not in codec.vocabulary]
    values, found = np.unique(lengths, return_counts=True)
    histogram = dict(zip(values.tolist(), found.tolist(), strict=True))
    return SideFigures(histogram, sum(counts.values()), sum(unknown), len(counts), len(unknown))
