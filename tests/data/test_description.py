from __future__ import annotations

import pytest

from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.description import CorpusFigures, SideFigures, describe
from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig

TRAIN = [Pair.of("a b", "x"), Pair.of("b", "y x y"), Pair.of("a", "y")]
TEST = [Pair.of("a c c", "y"), Pair.of("b d", "z x")]


def figures_of(size: int) -> CorpusFigures:
    source = SourceCodec.build(SourceTextConfig(), [pair.source for pair in TRAIN])
    target = TargetCodec.build(TargetTextConfig(), [pair.target for pair in TRAIN])
    corpus = Corpus(TRAIN, None, {"news": TEST}, {"train/empty": 2})
    return describe(corpus, source, target, BatchingConfig(size=size), seed=1)


def test_each_side_of_each_split_is_counted():
    figures = figures_of(3)
    assert list(figures.splits) == ["train", "news"]
    assert figures.splits["train"].source == SideFigures({2: 2, 3: 1}, 4, 0, 2, 0)
    assert figures.splits["train"].target == SideFigures({1: 2, 3: 1}, 5, 0, 2, 0)
    assert figures.splits["news"].pairs == 2
    assert figures.splits["news"].source == SideFigures({3: 1, 4: 1}, 5, 3, 4, 2)  # c twice and d are unknown
    assert figures.splits["news"].source.unknown_share == pytest.approx(3 / 5)
    assert figures.vocabularies == {"source": 6, "target": 6}
    assert figures.skipped == {"train/empty": 2}


def test_padding_is_that_of_the_first_epoch():
    # sources 3, 2, 2 and labels 2, 4, 2: one batch of three has 3 × (3 + 4) positions, of which 7 + 8 are real
    assert (figures_of(3).batches, figures_of(3).padding_share) == (1, pytest.approx(1 - 15 / 21))
    assert (figures_of(1).batches, figures_of(1).padding_share) == (3, 0.0)
