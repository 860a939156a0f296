"""Laws of every attention, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.models.attention import ATTENTIONS, Attention, AttentionConfig, build_attention
from seq2seq_lightning.models.attention.additive import AdditiveAttentionConfig
from seq2seq_lightning.models.attention.attention import masked_softmax
from seq2seq_lightning.models.state import Memory
from tests.models.variants import close

CONFIGS = [config() for config in ATTENTIONS] + [AdditiveAttentionConfig(size=3)]
ALL = pytest.mark.parametrize("config", CONFIGS, ids=str)
MASK = torch.arange(5) < torch.tensor([[5], [2]])


def made(config: AttentionConfig) -> tuple[Attention, Tensor, Tensor]:
    torch.manual_seed(0)
    attention = build_attention(config, 4, 4).double()
    return attention, torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()


@ALL
def test_weights_sum_to_one_and_the_context_is_their_sum(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    found = attention(queries, Memory(states, MASK, attention.keys(states)))
    close(found.weights.sum(2), torch.ones(2, 3).double())
    assert (found.weights.masked_select(~MASK.unsqueeze(1)) == 0).all()
    for sentence in range(2):
        for query in range(3):
            expected = sum(found.weights[sentence, query, place] * states[sentence, place] for place in range(5))
            close(found.context[sentence, query], expected)  # type: ignore[arg-type]


@ALL
def test_padding_never_reaches_a_context(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    clean = attention(queries, Memory(states, MASK, attention.keys(states))).context
    states = states.masked_fill(~MASK.unsqueeze(2), 1e6)
    close(attention(queries, Memory(states, MASK, attention.keys(states))).context, clean)


@ALL
def test_many_queries_are_as_each_alone(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    memory = Memory(states, MASK, attention.keys(states))
    together = attention(queries, memory)
    for index in range(3):
        alone = attention(queries[:, index : index + 1], memory)
        close(together.context[:, index : index + 1], alone.context)


@ALL
def test_gradients_are_the_numeric_ones(config: AttentionConfig) -> None:
    attention, queries, states = made(config)

    def attend(queries: Tensor, states: Tensor) -> Tensor:
        return attention(queries, Memory(states, MASK, attention.keys(states))).context

    assert torch.autograd.gradcheck(attend, (queries.requires_grad_(), states.requires_grad_()))


def test_additive_scores_follow_their_equation() -> None:
    attention, queries, states = made(AdditiveAttentionConfig(size=3))
    scores = attention.scores(queries, attention.keys(states))
    hidden = torch.tanh(
        attention.query_map.weight @ queries[1, 2] + attention.key_map.weight @ states[1, 0] + attention.key_map.bias
    )
    close(scores[1, 2, 0], attention.score_map.weight[0] @ hidden)
    assert attention.score_map.bias is None


def test_dot_and_general_follow_their_equations() -> None:
    dot, general = (made(config())[0] for config in ATTENTIONS if config().name in ("dot", "general"))
    _, queries, states = made(CONFIGS[0])
    close(dot.scores(queries, dot.keys(states))[1, 2, 3], queries[1, 2] @ states[1, 3])
    expected = queries[1, 2] @ general.key_map.weight @ states[1, 3]
    close(general.scores(queries, general.keys(states))[1, 2, 3], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_scores_in_any_precision_give_no_nan(dtype: torch.dtype) -> None:
    scores = torch.tensor([[[-6e4, -6e4, 6e4]], [[-6e4, 6e4, 6e4]]], dtype=dtype)
    is_padding = torch.tensor([[[False, False, True]], [[False, True, True]]])
    weights = masked_softmax(scores, is_padding)
    assert weights.dtype is torch.float32
    assert weights.tolist() == [[[0.5, 0.5, 0.0]], [[1.0, 0.0, 0.0]]]
