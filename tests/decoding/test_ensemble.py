"""Several models as one: what must be the same whoever the members are, and the averages worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from seq2seq_lightning.decoding import SEARCHES, BeamConfig, DecodingConfig, GreedyConfig, Hypothesis, search
from seq2seq_lightning.decoding.ensemble import Average, Ensemble, Together, averaged
from tests.decoding.table_model import IDS, TableModel, overlap, random_model, rescored

LENGTHS = [1 + place % 5 for place in range(12)]
EVERY = [kind(max_length=8) for kind in SEARCHES]


def found(models: list[TableModel], config: DecodingConfig, average: Average, **wanted: bool) -> list[list[Hypothesis]]:
    """Twelve sentences searched by these models together."""
    started = [model.start(range(len(LENGTHS)), LENGTHS) for model in models]
    state, memory = (Together(tuple(each[part] for each in started)) for part in (0, 1))
    wanted |= {"with_attention": True, "with_token_log_probs": True}
    ensemble = Ensemble(models, average)
    return search(ensemble, state, memory, torch.tensor(LENGTHS), config, IDS, utility=overlap, **wanted)  # type: ignore[arg-type]


def assert_close(one: list[list[Hypothesis]], other: list[list[Hypothesis]]) -> None:
    for best, others in zip(one, other, strict=True):
        assert [(each.tokens, each.finished) for each in best] == [(each.tokens, each.finished) for each in others]
        for mine, yours in zip(best, others, strict=True):
            assert mine.score == pytest.approx(yours.score, abs=1e-9)
            assert mine.token_log_probs == pytest.approx(yours.token_log_probs, abs=1e-9)
            for row, expected in zip(mine.attention or [], yours.attention or [], strict=True):
                assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.name)
@pytest.mark.parametrize("average", Average)
def test_an_ensemble_of_one_is_that_model_and_of_copies_too(config: DecodingConfig, average: Average) -> None:
    model = random_model(3, 7, sharpness=1.0)
    state, memory, lengths = model.start(range(len(LENGTHS)), LENGTHS)
    wanted = {"with_attention": True, "with_token_log_probs": True}
    alone = search(model, state, memory, lengths, config, IDS, utility=overlap, **wanted)  # type: ignore[arg-type]
    assert found([model], config, average) == alone
    assert_close(found([model] * 3, config, average), alone)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.name)
@pytest.mark.parametrize("average", Average)
def test_the_order_of_members_does_not_matter(config: DecodingConfig, average: Average) -> None:
    models = [random_model(seed, 7, sharpness=1.0) for seed in (3, 4, 5)]
    assert_close(found(models, config, average), found(models[::-1], config, average))


@pytest.mark.parametrize("average", Average)
def test_every_score_is_that_of_the_averaged_steps(average: Average) -> None:
    models = [random_model(seed, 6, sharpness=1.0) for seed in (3, 4)]
    for place, best in enumerate(found(models, BeamConfig(beam_width=3, n_best=3, max_length=5), average)):
        for hypothesis in best:
            labels = [*hypothesis.tokens, IDS.eos] if hypothesis.finished else hypothesis.tokens
            total = 0.0
            for at in range(len(labels)):
                rows = [
                    [rescored(model, place, LENGTHS[place], [*labels[:at], token]).log_probs[-1] for token in range(6)]
                    for model in models
                ]
                if average is Average.probabilities:
                    means = [(math.exp(a) + math.exp(b)) / 2 for a, b in zip(*rows, strict=True)]
                else:
                    means = [math.exp((a + b) / 2) for a, b in zip(*rows, strict=True)]
                total += math.log(means[labels[at]] / math.fsum(means))
            assert hypothesis.log_prob == pytest.approx(total, abs=1e-9)


def test_the_averages_worked_by_hand() -> None:
    """p = (0.8, 0.2, 0) and q = (0.2, 0.2, 0.6): the arithmetic mean is (0.5, 0.2, 0.3); of the geometric mean
    √0.16 : √0.04 : 0 = 0.4 : 0.2 : 0 is normalised to 2/3, 1/3, 0."""

    def mean(average: Average) -> list[float]:
        p, q = (torch.tensor([row], dtype=torch.float64).log() for row in ([0.8, 0.2, 0.0], [0.2, 0.2, 0.6]))
        return averaged([p, q], average).exp()[0].tolist()

    assert mean(Average.probabilities) == pytest.approx([0.5, 0.2, 0.3])
    assert mean(Average.log_probs) == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_members_that_exclude_each_other_leave_nothing_possible() -> None:
    p, q = torch.tensor([[0.0, -torch.inf]]), torch.tensor([[-torch.inf, 0.0]])
    assert averaged([p, q], Average.log_probs).tolist() == [[-math.inf, -math.inf]]


def test_attention_is_the_members_mean_and_none_where_one_has_none() -> None:
    models = [random_model(seed, 6) for seed in (3, 4)]
    best = found(models, GreedyConfig(max_length=4), Average.log_probs)[3][0]
    labels = [*best.tokens, IDS.eos] if best.finished else best.tokens
    rows = [rescored(model, 3, LENGTHS[3], labels).attention for model in models]
    assert best.attention is not None
    for row, one, other in zip(best.attention, *rows, strict=True):
        assert row == pytest.approx([(a + b) / 2 for a, b in zip(one, other, strict=True)])
    models[1] = replace(models[1], weights=None)
    assert found(models, GreedyConfig(max_length=4), Average.log_probs)[3][0].attention is None
