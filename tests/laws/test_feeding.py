"""Laws of the ways in which own tokens are found and fed, over every architecture, with dropout, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.models.feedback import FedBack, Manner, Readouts
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing import ArgMax, Gumbel, Sample
from tests.models.variants import PAD, build, close, configure, example, gradients, pairwise, title

Choice = dict[str, Any]
BATCH, TIME = 4, 7
GOLD = example(batch=BATCH, target_time=TIME)
OF_DECODERS = ("decoder_cell", "sight", "readout", "noise", "tie")
CHOICES: dict[str, FedBack] = {
    "argmax": ArgMax(),
    "sample": Sample(uniforms(1, "test", 0, torch.arange(BATCH), TIME), 0.7),
}
STEPWISE, EXACT = Manner(), Manner(parallel=True)


def over(choices: list[Choice]) -> pytest.MarkDecorator:
    """All of them; in the fast suite as many as show each option of a decoder once."""
    seen: set[tuple[str, Any]] = set()
    params = []
    for choice in choices:
        shown = {(axis, choice[axis]) for axis in OF_DECODERS}
        params.append(pytest.param(choice, id=title(choice), marks=[pytest.mark.slow] if shown <= seen else []))
        seen |= shown
    return pytest.mark.parametrize("choice", params)


LEGAL = [choice for choice in pairwise() if configure(choice).is_fusible]
EVERY, FUSIBLE = over(pairwise()), over(LEGAL)


@dataclass(frozen=True)
class Run:
    """What one way of feeding gave."""

    readouts: Readouts
    logits: Tensor
    gradients: dict[str, Tensor]

    @property
    def fed(self) -> Tensor:
        assert self.readouts.fed_tokens is not None
        return self.readouts.fed_tokens


def gold_mask(ratio: float = 0.4) -> Tensor:
    mask = uniforms(0, "mask", 0, torch.arange(BATCH), TIME) < ratio
    mask[:, 0] = True
    return mask


def run(
    model: Seq2Seq,
    mask: Tensor | None = None,
    fed_back: FedBack | None = None,
    manner: Manner = STEPWISE,
    tokens: Tensor = GOLD.target_inputs,
    loop: bool = False,
) -> Run:
    """Feed under the same dropout whatever the way; loop: position after position with gradients, the definition."""
    torch.manual_seed(5)
    with mock.patch.object(model.decoder, "is_fusible", model.decoder.is_fusible and not loop):
        found = model.readouts(GOLD.source, GOLD.source_lengths, tokens, mask, fed_back, manner=manner)
    logits = model.output_layer(found.readout)
    return Run(found, logits, gradients(model, weigh(logits)))


def weigh(logits: Tensor) -> Tensor:
    """A scalar that every log-probability moves differently."""
    weights = torch.sin(torch.arange(logits.numel(), dtype=logits.dtype)).view(logits.shape)
    return (torch.log_softmax(logits, -1) * weights).sum()


def equal(one: Run, other: Run) -> None:
    """The same tokens, values and gradients."""
    assert torch.equal(one.fed, other.fed)
    close(one.logits, other.logits)
    for name, gradient in one.gradients.items():
        close(gradient, other.gradients[name])


# -- own tokens, found beforehand --------------------------------------------------------------------------------------


@FUSIBLE
def test_both_searches_find_the_tokens_the_loss_and_the_gradients_of_the_loop(choice: Choice) -> None:
    model = build(configure(choice, 0.3))
    for fed_back in CHOICES.values():
        loop = run(model, gold_mask(), fed_back, loop=True)
        stepwise, exact = (run(model, gold_mask(), fed_back, manner) for manner in (STEPWISE, EXACT))
        equal(stepwise, loop)
        equal(exact, loop)
        assert (loop.readouts.passes, stepwise.readouts.passes) == (1, 2)
        assert 2 <= exact.readouts.passes <= TIME
        assert not torch.equal(loop.fed, GOLD.target_inputs)


def chaotic(logits: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
    """A choice that any change before it upsets."""
    return (1e7 * logits).sin().argmax(-1)


@pytest.mark.parametrize("choice", LEGAL[:3], ids=title)
def test_tokens_that_depend_on_each_other_take_a_pass_each(choice: Choice) -> None:
    model, mask = build(configure(choice, 0.3)), gold_mask(0.0)
    exact = run(model, mask, chaotic, EXACT)
    assert TIME - 2 < exact.readouts.passes <= TIME
    equal(exact, run(model, mask, chaotic))


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_so_many_passes_are_what_they_say(passes: int) -> None:
    """By hand: predict from what is fed, put the predictions where the mask is not gold, so many times."""
    model, mask = build(configure(LEGAL[0], 0.3)), gold_mask(0.2)
    tokens = GOLD.target_inputs
    for _ in range(passes):
        tokens = torch.where(mask, GOLD.target_inputs, run(model, tokens=tokens).logits.argmax(-1).roll(1, 1))
    found = run(model, mask, ArgMax(), Manner(parallel=True, extra_passes=passes))
    equal(found, run(model, tokens=tokens))
    assert found.readouts.passes == passes + 1


def test_more_passes_than_positions_are_not_made() -> None:
    model, mask = build(configure(LEGAL[0], 0.3)), torch.ones(BATCH, TIME, dtype=torch.bool)
    mask[1, 2] = mask[3, 5] = False
    found = run(model, mask, ArgMax(), Manner(parallel=True, extra_passes=9))
    assert found.readouts.passes == 3
    equal(found, run(model, mask, ArgMax()))


@FUSIBLE
def test_logits_are_made_for_the_rows_that_are_fed_back_alone(choice: Choice) -> None:
    model, mask = build(configure(choice)), gold_mask()
    asked: list[tuple[int, int]] = []

    def fed_back(logits: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        assert not logits.requires_grad
        positions = torch.as_tensor(position).expand(len(rows))
        asked.extend(zip(rows.tolist(), positions.tolist(), strict=True))
        return logits.argmax(-1)

    run(model, mask, fed_back)
    assert sorted(asked) == [tuple(place) for place in (~mask).nonzero().tolist()]


# -- mixed embeddings --------------------------------------------------------------------------------------------------


MIXING = Manner(mixes=True)


def gumbel(hard: bool = False) -> Gumbel:
    return Gumbel(1, 2, torch.arange(BATCH), 0.8, hard)


@EVERY
def test_gradients_pass_through_a_mixture_as_differences_do(choice: Choice) -> None:
    """The derivative in one direction of all weights, against the difference of two losses; gold at some positions."""
    model = build(configure(choice, 0.3))
    found = run(model, gold_mask(), gumbel(), MIXING)
    direction = {
        name: torch.sin(7.0 + torch.arange(values.numel(), dtype=values.dtype)).view_as(values) * (values != 0)
        for name, values in model.named_parameters()  # the embedding of pad stays zero
    }
    along = sum(float((found.gradients[name] * values).sum()) for name, values in direction.items())
    losses = []
    for step in (-1e-6, 1e-6):
        shift(model, direction, step)
        losses.append(weigh(run(model, gold_mask(), gumbel(), MIXING).logits).item())
        shift(model, direction, -step)
    assert (losses[1] - losses[0]) / 2e-6 == pytest.approx(along, rel=1e-4, abs=1e-4)


def shift(model: Seq2Seq, direction: dict[str, Tensor], step: float) -> None:
    with torch.no_grad():
        for name, values in direction.items():
            model.get_parameter(name).add_(values, alpha=step)


def reached(choose: FedBack, manner: Manner) -> float:
    """How strongly the readout of the last position moves the output layer, which only a fed token can tell it of."""
    model = build(configure(LEGAL[0], 0.3))
    torch.manual_seed(5)
    found = model.readouts(GOLD.source, GOLD.source_lengths, GOLD.target_inputs, gold_mask(0.0), choose, manner=manner)
    model.zero_grad()
    found.readout[:, -1].sum().backward()
    gradient = model.output_layer.bias.grad
    return 0.0 if gradient is None else float(gradient.abs().max())


@pytest.mark.parametrize("manner", [STEPWISE, EXACT, Manner(parallel=True, extra_passes=1)], ids=str)
@pytest.mark.parametrize("source", CHOICES)
def test_no_gradient_passes_through_a_chosen_token(source: str, manner: Manner) -> None:
    assert reached(CHOICES[source], manner) == 0.0


@pytest.mark.parametrize("hard", [False, True])
def test_gradients_pass_through_a_mixture_hard_or_soft(hard: bool) -> None:
    assert reached(gumbel(hard), MIXING) > 1e-6


@EVERY
def test_a_hard_mixture_feeds_a_token_and_a_cold_one_nearly_so(choice: Choice) -> None:
    """Straight through: forwards the values of feeding the ids that it tells; the embedding of pad is never moved."""
    model = build(configure(choice, 0.3))
    hard = run(model, gold_mask(), gumbel(hard=True), MIXING)
    close(hard.logits, run(model, tokens=hard.fed, loop=True).logits)
    cold = run(model, gold_mask(), Gumbel(1, 2, torch.arange(BATCH), 1e-9), MIXING)
    close(cold.logits, run(model, tokens=cold.fed, loop=True).logits)
    table = model.decoder.embedding.weight
    (gradient,) = [hard.gradients[name] for name, values in model.named_parameters() if values is table]
    assert not gradient[PAD].any() or table is model.output_layer.weight


# -- truncated gradients -----------------------------------------------------------------------------------------------


def chunked(model: Seq2Seq, tokens: Tensor, length: int) -> Tensor:
    """Steps of the protocol, one after the other, the carried state detached after each so many."""
    memory, state = model.start(GOLD.source, GOLD.source_lengths)
    found = []
    for position, fed in enumerate(tokens.unbind(1)):
        if position and position % length == 0:
            state = state.map(detach)
        out, state = model.decoder.step(fed, state, memory)
        found.append(model.output_layer(out.readout))
    return torch.stack(found, 1)


def detach(values: Tensor) -> Tensor:
    return values.detach()


@EVERY
def test_truncation_is_a_loop_that_detaches_what_it_carries(choice: Choice) -> None:
    model = build(configure(choice))
    for length in (1, 3):
        logits = chunked(model, GOLD.target_inputs, length)
        expected = gradients(model, weigh(logits))
        found = run(model, manner=Manner(truncate=length))
        close(found.logits, logits)
        for name, gradient in found.gradients.items():
            close(gradient, expected[name])
        own = run(model, gold_mask(), ArgMax(), Manner(truncate=length))  # found beforehand or not
        expected = gradients(model, weigh(chunked(model, own.fed, length)))
        for name, gradient in own.gradients.items():
            close(gradient, expected[name])


@EVERY
def test_truncation_beyond_the_end_changes_nothing_and_within_it_does(choice: Choice) -> None:
    model = build(configure(choice, 0.3))
    whole, beyond = run(model), run(model, manner=Manner(truncate=TIME))
    assert torch.equal(whole.logits, beyond.logits)
    assert all(torch.equal(gradient, beyond.gradients[name]) for name, gradient in whole.gradients.items())
    cut = run(model, manner=Manner(truncate=2))
    close(cut.logits, whole.logits)
    assert any(not torch.allclose(gradient, cut.gradients[name]) for name, gradient in whole.gradients.items())
