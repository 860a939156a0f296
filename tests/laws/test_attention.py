"""Laws of every attention, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.models.attention import (
    ATTENTIONS,
    AdditiveAttentionConfig,
    Attention,
    AttentionConfig,
    CoverageAttentionConfig,
    DotAttentionConfig,
    GeneralAttentionConfig,
    LocationAttentionConfig,
    MultiHeadAttentionConfig,
    ScaledDotAttentionConfig,
    build_attention,
)
from seq2seq_lightning.models.attention.attention import Attended, masked_softmax
from seq2seq_lightning.models.state import Carried, Memory
from tests.models.variants import close

CONFIGS = [config() for config in ATTENTIONS] + [
    AdditiveAttentionConfig(size=3),
    LocationAttentionConfig(size=3, filters=2, width=3),
    MultiHeadAttentionConfig(heads=3, size=6),
]
CARRYING = [config for config in CONFIGS if config.carries()]
ALL = pytest.mark.parametrize("config", CONFIGS, ids=str)
MASK = torch.arange(5) < torch.tensor([[5], [2]])


def made(config: AttentionConfig) -> tuple[Attention, Tensor, Tensor]:
    torch.manual_seed(0)
    attention = build_attention(config, 4, 4).double()
    return attention, torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()


def remembered(attention: Attention, states: Tensor, mask: Tensor = MASK) -> Memory:
    return Memory(states, mask, attention.keys(states), values=attention.values(states))


def beams(attention: Attention, memory: Memory, queries: int = 3) -> Carried | None:
    """What each of so many queries brings along: weights as some earlier position gave them, each its own."""
    start = attention.start(memory)
    if start is None:
        return None
    past = torch.rand(*memory.mask.shape[:1], queries, memory.mask.shape[1]).double()
    past = past.masked_fill(memory.is_padding, 0.0)
    return {name: value.unsqueeze(1) + past / past.sum(2, keepdim=True) for name, value in start.items()}


def asked(attention: Attention, queries: Tensor, memory: Memory, carried: Carried | None = None) -> Attended:
    torch.manual_seed(1)
    return attention(queries, memory, beams(attention, memory) if carried is None else carried)


def at(carried: Carried | None, index: int) -> Carried | None:
    return None if carried is None else {name: value[:, index : index + 1] for name, value in carried.items()}


def unrolled(
    attention: Attention, queries: Tensor, memory: Memory, at_once: bool = False
) -> tuple[list[Tensor], list[Tensor]]:
    """Contexts and weights of the queries as those of one position after the other, started as a decoder does."""
    start = attention.start(memory)
    carried = None if start is None else {name: value.unsqueeze(1) for name, value in start.items()}
    attend = attention.begin(queries.shape[0], queries.shape[1]) if at_once else attention
    contexts, weights = [], []
    for query in queries.unbind(1):
        found = attend(query.unsqueeze(1), memory, carried)
        carried = found.carried
        contexts.append(found.context.squeeze(1))
        weights.append(found.weights.squeeze(1))
    return contexts, weights


@ALL
def test_weights_sum_to_one_on_real_positions_and_are_zero_elsewhere(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    found = asked(attention, queries, remembered(attention, states))
    close(found.weights.sum(2), torch.ones(2, 3).double())
    is_padding = ~MASK.unsqueeze(1).expand(-1, 3, -1)
    assert (found.weights[is_padding] == 0).all() and (found.weights[~is_padding] > 0).all()
    assert found.context.shape == (2, 3, 4)


@pytest.mark.parametrize("config", [each for each in CONFIGS if each.name != "multi_head"], ids=str)
def test_the_context_is_the_weighted_sum_of_the_states(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    found = asked(attention, queries, remembered(attention, states))
    for sentence in range(2):
        for query in range(3):
            expected = sum(found.weights[sentence, query, place] * states[sentence, place] for place in range(5))
            close(found.context[sentence, query], expected)  # type: ignore[arg-type]


@ALL
def test_padding_never_reaches_a_context(config: AttentionConfig) -> None:
    """Neither what stands there nor how much of it there is: over positions that look back too."""
    attention, queries, states = made(config)
    clean, weights = unrolled(attention, queries, remembered(attention, states))
    filled = states.masked_fill(~MASK.unsqueeze(2), 1e6)
    dirty, _ = unrolled(attention, queries, remembered(attention, filled))
    alone, _ = unrolled(attention, queries[1:], remembered(attention, states[1:, :2], MASK[1:, :2]))
    for position in range(3):
        close(dirty[position], clean[position])
        close(alone[position], clean[position][1:])
        assert (weights[position][1, 2:] == 0).all()


@ALL
def test_many_queries_are_as_each_alone(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    memory = remembered(attention, states)
    torch.manual_seed(1)
    carried = beams(attention, memory)
    together = attention(queries, memory, carried)
    for index in range(3):
        alone = attention(queries[:, index : index + 1], memory, at(carried, index))
        close(together.context[:, index : index + 1], alone.context)
        close(together.weights[:, index : index + 1], alone.weights)
        for name, value in (alone.carried or {}).items():
            close(together.carried[name][:, index : index + 1], value)


@ALL
def test_gradients_are_the_numeric_ones(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    attention.requires_grad_(False)

    def attend(queries: Tensor, states: Tensor) -> Tensor:
        contexts, weights = unrolled(attention, queries[:, :2], remembered(attention, states[:, :3], MASK[:, :3]))
        return torch.cat((*contexts, *weights), 1)

    assert torch.autograd.gradcheck(attend, (queries.requires_grad_(), states.requires_grad_()))


@ALL
def test_a_loop_that_shares_work_gives_the_same_with_gradients(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    results = []
    for at_once in (False, True):
        attention.zero_grad()
        contexts, _ = unrolled(attention, queries, remembered(attention, states), at_once)
        together = torch.stack(contexts)
        if any(True for _ in attention.parameters()):
            (together * torch.arange(together.numel()).view(together.shape).sin()).sum().backward()
        results.append([together.detach(), *[values.grad.clone() for values in attention.parameters()]])
    for plain, shared in zip(*results, strict=True):
        close(shared, plain)


@ALL
def test_the_config_knows_whether_something_is_carried(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    memory = remembered(attention, states)
    start, found = attention.start(memory), asked(attention, queries, memory)
    assert (start is not None) == (found.carried is not None) == config.carries()
    for name, value in (start or {}).items():
        assert value.shape == (2, 5) and found.carried[name].shape == (2, 3, 5)


@pytest.mark.parametrize("config", CARRYING, ids=str)
def test_what_is_carried_changes_the_scores(config: AttentionConfig) -> None:
    attention, queries, states = made(config)
    memory = remembered(attention, states)
    start = attention.start(memory)
    assert start is not None
    fresh = {name: value.unsqueeze(1).expand(-1, 3, -1) for name, value in start.items()}
    first, later = attention(queries, memory, fresh), asked(attention, queries, memory)
    assert (first.weights - later.weights)[0].abs().max() > 1e-4


def written(attention: Attention, query: Tensor, state: Tensor, past: Tensor | float = 0.0) -> Tensor:
    """v · tanh(W q + U h + b + past), for one query and one encoder state."""
    hidden = attention.query_map.weight @ query + attention.key_map.weight @ state + attention.key_map.bias
    return attention.score_map.weight[0] @ torch.tanh(hidden + past)


def test_additive_scores_follow_their_equation() -> None:
    attention, queries, states = made(AdditiveAttentionConfig(size=3))
    scores = attention.scores(attention.query_map(queries), attention.keys(states))
    close(scores[1, 2, 0], written(attention, queries[1, 2], states[1, 0]))
    assert attention.score_map.bias is None


def test_dot_scaled_and_general_follow_their_equations() -> None:
    dot, queries, states = made(DotAttentionConfig())
    close(dot.scores(queries, dot.keys(states))[1, 2, 3], queries[1, 2] @ states[1, 3])
    scaled = made(ScaledDotAttentionConfig())[0]
    close(scaled.scores(queries, scaled.keys(states))[1, 2, 3], queries[1, 2] @ states[1, 3] / 2)  # √4
    general = made(GeneralAttentionConfig())[0]
    expected = queries[1, 2] @ general.key_map.weight @ states[1, 3]
    close(general.scores(queries, general.keys(states))[1, 2, 3], expected)


@pytest.mark.parametrize(("config", "sums"), [(CoverageAttentionConfig(), True), (LocationAttentionConfig(), False)])
def test_attentions_that_look_back_follow_their_equations(config: AttentionConfig, sums: bool) -> None:
    """See et al.: the sum of all weights so far; Chorowski et al.: a convolution of the last ones."""
    attention, queries, states = made(config)
    _, found = unrolled(attention, queries, remembered(attention, states))
    for sentence, length in enumerate((5, 2)):
        past = torch.zeros(length).double()
        for position in range(3):
            scores = []
            for place in range(length):
                if sums:
                    term = attention.coverage_map.weight[:, 0] * past[place]
                else:
                    bank, reach = attention.filters.weight[:, 0], config.width // 2  # type: ignore[attr-defined]
                    near = [other for other in range(length) if abs(other - place) <= reach]
                    features = sum(bank[:, other - place + reach] * past[other] for other in near)
                    term = attention.location_map.weight @ features
                scores.append(written(attention, queries[sentence, position], states[sentence, place], term))
            weights = F.softmax(torch.stack(scores), 0)
            close(found[position][sentence, :length], weights)
            past = past + weights if sums else weights


def test_multi_head_follows_its_equation_and_tells_the_mean_of_its_heads() -> None:
    """Against torch's own module with the same matrices."""
    attention, queries, states = made(MultiHeadAttentionConfig(heads=2))
    other = torch.nn.MultiheadAttention(4, 2, bias=False, batch_first=True).double()
    maps = [attention.query_map, attention.key_map, attention.value_map]
    other.in_proj_weight.data = torch.cat([each.weight.detach() for each in maps])
    other.out_proj.weight.data = attention.output_map.weight.detach()
    context, weights = other(queries, states, states, key_padding_mask=~MASK)
    found = attention(queries, remembered(attention, states))
    close(found.context, context)
    close(found.weights, weights)


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_stay_close_and_keep_the_past_in_thirty_two(config: AttentionConfig, dtype: torch.dtype) -> None:
    attention, queries, states = made(config)
    _, exact = unrolled(attention, queries, remembered(attention, states))
    narrow = attention.to(dtype)
    memory = remembered(narrow, states.to(dtype))
    contexts, found = unrolled(narrow, queries.to(dtype), memory)
    for position in range(3):
        assert contexts[position].dtype is dtype and found[position].dtype is torch.float32
        assert (found[position][1, 2:] == 0).all()
        torch.testing.assert_close(found[position].double(), exact[position], rtol=0, atol=0.05)
    assert all(value.dtype is torch.float32 for value in (narrow.start(memory) or {}).values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_scores_in_any_precision_give_no_nan(dtype: torch.dtype) -> None:
    scores = torch.tensor([[[-6e4, -6e4, 6e4]], [[-6e4, 6e4, 6e4]]], dtype=dtype)
    is_padding = torch.tensor([[[False, False, True]], [[False, True, True]]])
    weights = masked_softmax(scores, is_padding)
    assert weights.dtype is torch.float32
    assert weights.tolist() == [[[0.5, 0.5, 0.0]], [[1.0, 0.0, 0.0]]]
