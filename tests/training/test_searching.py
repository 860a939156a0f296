"""One pass over a split finds for each of many decodings what searching with it alone finds, to the bit."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
import torch

from seq2seq_lightning.decoding import (
    SEARCHES,
    BeamConfig,
    DecodingConfig,
    GreedyConfig,
    LengthPenalty,
    MBRConfig,
    NotANumberError,
    SampleConfig,
)
from seq2seq_lightning.decoding.config import SearchPrecision
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.trained import Trained
from seq2seq_lightning.training.searching import SplitRequest
from tests.training.untrained import pairs, untrained

LIMIT = {"max_length": 9}
GRID: list[DecodingConfig] = [
    *(kind(**LIMIT, batch_size=5) for kind in SEARCHES),
    *(
        BeamConfig(beam_width=width, length_penalty=LengthPenalty.average, alpha=alpha, **LIMIT, batch_size=5)
        for width in (1, 4)
        for alpha in (0.5, 1.0)
    ),
    GreedyConfig(**LIMIT, batch_size=8),
    BeamConfig(**LIMIT, batch_size=5, precision=SearchPrecision.bf16),
]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return untrained()


def test_each_decoding_of_a_pass_is_what_it_is_alone(trained: Trained) -> None:
    metrics = MetricsConfig(report=["exact_match", "bleu"])
    together = trained.score_each(pairs(), GRID, metrics)
    assert len({str(each.texts) for each in together if not isinstance(each, Exception)}) > 5
    for decoding, found in zip(GRID, together, strict=True):
        alone = trained.score(pairs(), decoding, metrics)
        assert not isinstance(found, Exception)
        assert found.hypotheses == alone.hypotheses
        assert (found.texts, found.references) == (alone.texts, alone.references)
        assert (found.scores, found.by_source_length) == (alone.scores, alone.by_source_length)


def test_each_batch_is_read_once_for_all_searches_of_a_batch_size(trained: Trained) -> None:
    """And once more for those in bfloat16."""
    start, sizes = Seq2Seq.start, []

    def counting(model: Seq2Seq, source: torch.Tensor, *rest: torch.Tensor) -> object:
        sizes.append(len(source))
        return start(model, source, *rest)

    with mock.patch.object(Seq2Seq, "start", counting):
        trained.score_each(pairs(), GRID)
    assert Counter(sizes) == {5: 6, 4: 4, 8: 2, 7: 1}  # 23 sentences: twice 5 batches of at most 5, and 3 of at most 8


def test_bf16_is_a_reading_of_its_own_and_leaves_the_model_as_it_is(trained: Trained) -> None:
    """Scores are float32 sums of what a model in bfloat16 says, and differ from those of float64 by its rounding."""
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    exact, rounded = (trained.score(pairs(), BeamConfig(**LIMIT, precision=precision)) for precision in SearchPrecision)
    assert all(torch.equal(before[name], value) for name, value in trained.model.state_dict().items())
    found = [(one.score, other.score) for (one,), (other,) in zip(exact.hypotheses, rounded.hypotheses, strict=True)]
    assert any(one != other for one, other in found)
    assert all(other == pytest.approx(one, rel=0.1, abs=0.5) for one, other in found)
    assert rounded.scores["perplexity"].value == pytest.approx(exact.scores["perplexity"].value, rel=0.05)


def test_progress_counts_every_sentence_of_every_decoding(trained: Trained) -> None:
    seen: list[tuple[int, int]] = []
    trained.score_each(pairs(), GRID[:2], on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (46, 46) and [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_decoding_that_fails_leaves_the_others_alone(trained: Trained) -> None:
    """A banned phrase that no model of this vocabulary can write is found when the search begins."""
    wrong = GreedyConfig(**LIMIT, banned=["never seen"])
    first, second, third = trained.score_each(pairs(), [GRID[0], wrong, GRID[1]])
    assert isinstance(second, ConfigurationError) and "never seen" in str(second)
    for found, decoding in ((first, GRID[0]), (third, GRID[1])):
        assert not isinstance(found, Exception)
        assert found.hypotheses == trained.score(pairs(), decoding).hypotheses
    with pytest.raises(ConfigurationError, match="never seen"):
        trained.score(pairs(), wrong)


def test_a_broken_model_fails_every_decoding() -> None:
    broken = untrained()
    broken.model.output_layer.bias.data.fill_(torch.nan)
    assert all(isinstance(each, NotANumberError) for each in broken.score_each(pairs(), GRID[:3]))


@pytest.mark.parametrize("decoding", [SampleConfig(samples=3, **LIMIT), MBRConfig(**LIMIT)], ids=lambda each: each.name)
def test_noise_belongs_to_the_line_of_a_file_not_to_its_batch(trained: Trained, decoding: DecodingConfig) -> None:
    texts = [pair.source for pair in pairs()]
    whole = trained.search(texts, decoding)
    tokens = [[each.tokens for each in best] for best in whole]
    decoding = type(decoding)(**{**vars(decoding), "batch_size": 3})
    assert [[each.tokens for each in best] for best in trained.search(texts, decoding)] == tokens
    second_half = trained.search(texts[11:], decoding, first_place=11)
    assert [[each.tokens for each in best] for best in second_half] == tokens[11:]
    assert [[each.tokens for each in best] for best in trained.search(texts[11:], decoding)] != tokens[11:]


@pytest.mark.parametrize("utility", ["chrf", "wer", "exact_match"])
def test_any_metric_can_be_the_utility(trained: Trained, utility: str) -> None:
    """Among samples of which one was drawn several times, equality chooses it, and no metric chooses at random."""
    split = trained.evaluator.encode(pairs(6))
    asked = SplitRequest(sources=[pair.source for pair in pairs(6)])
    config = MBRConfig(candidates=SampleConfig(samples=6, temperature=0.5), utility=utility, n_best=6, max_length=4)
    for best in trained.evaluator.search(split, config, asked=asked):
        scores = [each.score for each in best]
        assert scores == sorted(scores, reverse=True)
        assert all(-2 <= score <= 1 for score in scores) and (utility != "wer" or scores[0] <= 0)
