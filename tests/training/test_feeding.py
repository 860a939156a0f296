"""What a feeder feeds: laws over granularities, fed-back tokens, mechanisms and schedules, with dropout, in float64."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.attention import GeneralAttentionConfig
from seq2seq_lightning.models.decoder_config import DecoderConfig, Query
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.teacher_forcing import TeacherForcingConfig, draw_gold_mask
from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig
from seq2seq_lightning.teacher_forcing.confidence import ConfidenceConfig
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Granularity, Mechanism
from seq2seq_lightning.teacher_forcing.schedules import ConstantConfig
from seq2seq_lightning.training.feeding import Fed, Feeder, manner
from seq2seq_lightning.training.label_losses import label_losses
from tests.training.objectives.steps import IDS, filler, make_batch, make_model, part

BATCH = make_batch(rows=6)
UPDATE = 2  # the coins of every granularity fall on own tokens somewhere
CPU = torch.device("cpu")


def model_of(dropout: float = 0.3, **decoder: object) -> Seq2Seq:
    config = ModelConfig(attention=GeneralAttentionConfig(), decoder=DecoderConfig(**decoder))  # type: ignore[arg-type]
    return make_model(config, dropout=dropout)


def feed(config: TeacherForcingConfig, ratio: float = 0.5, model: Seq2Seq | None = None, batch: Batch = BATCH) -> Fed:
    """Feed under the same dropout whatever the config."""
    torch.manual_seed(7)
    return Feeder(config, seed=1).feed(model or model_of(), batch, ratio, UPDATE)


def total(fed: Fed, model: Seq2Seq, batch: Batch = BATCH) -> Tensor:
    return torch.stack(
        [each.weight * label_losses(model, each.readouts, batch, IDS.pad).total for each in fed.parts]
    ).sum()


def learnt(
    config: TeacherForcingConfig, ratio: float = 0.5, model: Seq2Seq | None = None
) -> tuple[Fed, Tensor, list[Tensor]]:
    """What was fed, the loss and its gradients."""
    model = model or model_of()
    fed = feed(config, ratio, model)
    loss = total(fed, model)
    return fed, loss, list(torch.autograd.grad(loss, list(model.parameters())))


def tokens(fed: Fed) -> Tensor:
    """What the last part was fed at real positions, zero elsewhere."""
    found = fed.parts[-1].readouts.fed_tokens
    assert found is not None
    return found * (BATCH.target_labels != IDS.pad) if len(found) == len(BATCH) else found


def configs() -> list[TeacherForcingConfig]:
    """Every legal combination of granularity, fed-back token and mechanism, and the schedule with its own ratios."""
    found: list[TeacherForcingConfig] = []
    for granularity, fed_back, (mechanism, passes) in itertools.product(
        Granularity, FedBackToken, [(mechanism, None) for mechanism in Mechanism] + [(Mechanism.parallel, 1)]
    ):
        for schedule in (ConstantConfig, ConfidenceConfig):
            shared = {"granularity": granularity, "fed_back": fed_back, "mechanism": mechanism, "extra_passes": passes}
            extra = {"threshold": 0.11} if schedule is ConfidenceConfig else {}
            try:
                found.append(schedule(**shared, **extra))  # type: ignore[arg-type]
            except ConfigurationError:
                assert fed_back is FedBackToken.gumbel or schedule is ConfidenceConfig
    return found


def title(config: TeacherForcingConfig) -> str:
    passes = "" if config.extra_passes is None else f"-{config.extra_passes}"
    return f"{config.name}-{config.granularity.name}-{config.fed_back.name}-{config.mechanism.name}{passes}"


EVERY = pytest.mark.parametrize("config", configs(), ids=title)
STEPWISE = pytest.mark.parametrize(
    "config",
    [
        config
        for config in configs()
        if config.mechanism is Mechanism.stepwise and config.fed_back is not FedBackToken.gumbel
    ],
    ids=title,
)


def test_the_legal_combinations_are_as_many_as_they_should_be() -> None:
    """5 granularities × (3 mechanisms and two-pass) × 3 tokens, less gumbel by passes; confidence per token alone."""
    assert len(configs()) == 5 * (4 * 3 - 2) + (4 * 3 - 2)


# -- gold alone --------------------------------------------------------------------------------------------------------


@EVERY
def test_gold_everywhere_is_teacher_forcing_bit_for_bit(config: TeacherForcingConfig) -> None:
    if isinstance(config, ConfidenceConfig):
        config = replace(config, threshold=0.999)  # the model is never so sure
    plain, loss, gradients = learnt(ConstantConfig(), 1.0)
    fed, same, others = learnt(config, 1.0)
    assert len(fed.parts) == 1 and fed.parts[0].readouts.passes == 1
    assert torch.equal(fed.parts[0].readouts.readout, plain.parts[0].readouts.readout)
    assert torch.equal(loss, same)
    assert all(torch.equal(one, other) for one, other in zip(gradients, others, strict=True))


def test_teacher_forcing_takes_no_coins() -> None:
    fed = feed(ConstantConfig(), 1.0)
    assert fed.parts[0].gold_mask is None
    assert fed.counts()["fed_back"] == 0


# -- mechanisms --------------------------------------------------------------------------------------------------------


@STEPWISE
def test_passes_until_nothing_changes_equal_the_definition(config: TeacherForcingConfig) -> None:
    """Tokens, loss and gradient, under dropout; `auto` is one of both."""
    fed, loss, gradients = learnt(config)
    for mechanism in (Mechanism.parallel, Mechanism.auto):
        other, same, others = learnt(replace(config, mechanism=mechanism))
        assert torch.equal(tokens(other), tokens(fed))
        torch.testing.assert_close(same, loss, rtol=0, atol=1e-9)
        for one, two in zip(gradients, others, strict=True):
            torch.testing.assert_close(two, one, rtol=0, atol=1e-9)
    assert not torch.equal(tokens(fed), BATCH.target_inputs)


def test_auto_takes_passes_on_a_gpu_where_they_are_legal() -> None:
    """A pass costs a GPU a few launches, a position as many; on a CPU only products count."""
    gpu = torch.device("cuda")
    auto = ConstantConfig(mechanism=Mechanism.auto)
    assert manner(auto, True, gpu).parallel and manner(auto, True, gpu).extra_passes is None
    assert not manner(auto, True, CPU).parallel
    assert not manner(auto, False, gpu).parallel
    assert not manner(replace(auto, fed_back=FedBackToken.gumbel), True, gpu).parallel
    assert manner(ConstantConfig(mechanism=Mechanism.parallel, extra_passes=2), True, CPU).extra_passes == 2
    assert [manner(auto, True, device).mechanism for device in (CPU, gpu)] == ["stepwise", "parallel"]


@pytest.mark.parametrize("decoder", [{"input_feeding": True}, {"query": Query.previous}], ids=str)
def test_a_decoder_that_carries_more_than_its_state_is_fed_in_a_loop(decoder: dict[str, object]) -> None:
    fed = feed(ConstantConfig(mechanism=Mechanism.auto), model=model_of(**decoder))
    assert fed.parts[0].readouts.passes == 1
    assert not torch.equal(tokens(fed), BATCH.target_inputs)


@pytest.mark.parametrize("mechanism", Mechanism)
@pytest.mark.parametrize("fed_back", [FedBackToken.argmax, FedBackToken.gumbel], ids=lambda token: token.name)
def test_searching_under_autocast_takes_no_gradient_away(mechanism: Mechanism, fed_back: FedBackToken) -> None:
    """Autocast keeps the weights it has cast; a pass without gradient may not leave them so for the one that learns."""
    if (fed_back, mechanism) == (FedBackToken.gumbel, Mechanism.parallel):
        return
    model = model_of(dropout=0.0).float()
    config = ConstantConfig(mechanism=mechanism, fed_back=fed_back)
    with torch.autocast("cpu", torch.bfloat16):
        rough = feed(config, 0.0, model)
        loss = total(rough, model)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    heard = rough.parts[0].readouts.fed_tokens
    assert heard is not None
    exact = total(Feeder(ConstantConfig(), 1).feed(model, replace(BATCH, target_inputs=heard), 1.0, UPDATE), model)
    expected = torch.autograd.grad(exact, list(model.parameters()))
    if fed_back is FedBackToken.argmax:
        assert all(torch.allclose(one, other, rtol=0, atol=0.5) for one, other in zip(gradients, expected, strict=True))
    assert all((one.abs().max() > 0) == (other.abs().max() > 0) for one, other in zip(gradients, expected, strict=True))


# -- independence ------------------------------------------------------------------------------------------------------


@EVERY
def test_a_row_hears_the_same_in_any_company(config: TeacherForcingConfig) -> None:
    """Alone, in another micro-batch or order, without its padding: only the place in the global batch counts."""
    model = model_of(dropout=0.0)
    whole = feed(config, model=model)
    for rows in ([2], [5, 0, 3], [1, 2, 4]):
        micro = part(BATCH, rows)
        fed = feed(config, model=model, batch=micro)
        assert len(fed.parts) == len(whole.parts)
        for one, all_of_them in zip(fed.parts, whole.parts, strict=True):
            real = micro.target_labels != IDS.pad
            mine, its = one.readouts.fed_tokens, all_of_them.readouts.fed_tokens
            assert mine is not None and its is not None
            assert torch.equal(mine[real], its[rows][:, : real.shape[1]][real])
            readout = all_of_them.readouts.readout[rows][:, : real.shape[1]]
            torch.testing.assert_close(one.readouts.readout[real], readout[real], rtol=0, atol=1e-9)


@EVERY
def test_a_filler_row_hears_gold_and_counts_for_nothing(config: TeacherForcingConfig) -> None:
    counts = feed(config, batch=filler(BATCH)).counts()
    assert counts["choosable"] == counts["fed_back"] == 0
    assert counts.get("ratios", 0) == 0


@EVERY
def test_padding_is_never_fed_back(config: TeacherForcingConfig) -> None:
    fed = feed(config, 0.0)
    gold = fed.parts[-1].gold_mask
    assert gold is not None
    assert gold[BATCH.target_labels == IDS.pad].all() and gold[:, 0].all()


def test_seed_and_update_choose_others() -> None:
    model = model_of(dropout=0.0)
    for config in (ConstantConfig(), ConstantConfig(fed_back=FedBackToken.sample)):
        masks = [
            Feeder(config, seed).feed(model, BATCH, 0.5, update).parts[0] for seed, update in ((1, 4), (2, 4), (1, 5))
        ]
        first, *others = [each.gold_mask for each in masks]
        assert first is not None
        assert all(other is not None and not torch.equal(first, other) for other in others)


# -- what is counted ---------------------------------------------------------------------------------------------------


def test_counts_are_of_tokens_that_could_have_been_own() -> None:
    """6 rows of 7, 6, 5, 4, 3 and 2 labels: 21 of the 27 positions come after the first."""
    fed = feed(ConstantConfig(), 0.0)
    counts = fed.counts()
    assert counts["choosable"] == 21 and counts["fed_back"] == 21
    assert (counts["passes"], counts["micro_batches"]) == (2, 1)
    half = feed(ConstantConfig(), 0.5)
    gold = half.parts[0].gold_mask
    assert gold is not None
    real = BATCH.target_labels != IDS.pad
    assert half.counts()["fed_back"] == (~gold & real).sum()
    assert 4 < int(half.counts()["fed_back"]) < 17


def test_passes_are_counted_with_the_one_that_learns() -> None:
    assert feed(ConstantConfig(), 1.0).counts()["passes"] == 1
    two = ConstantConfig(mechanism=Mechanism.parallel, extra_passes=1)
    assert feed(two).counts()["passes"] == 2
    exact = feed(ConstantConfig(mechanism=Mechanism.parallel))
    assert 2 <= exact.counts()["passes"] <= 7
    assert feed(ConstantConfig(granularity=Granularity.mixed)).counts()["passes"] == 1 + 2
    assert feed(ConfidenceConfig(threshold=0.11)).counts()["passes"] == 1 + 2


# -- mixed losses ------------------------------------------------------------------------------------------------------


def test_a_mixed_loss_weighs_gold_against_own_tokens() -> None:
    """λ·teacher-forced + (1 - λ)·free-running, under one dropout."""
    mixed = ConstantConfig(granularity=Granularity.mixed)
    gold, own = ConstantConfig(), ConstantConfig()
    model = model_of()
    forced, free = total(feed(gold, 1.0, model), model), total(feed(own, 0.0, model), model)
    assert abs(float(forced.detach() - free.detach())) > 1e-3
    fed, loss, _ = learnt(mixed, 0.3, model)
    assert [part.weight for part in fed.parts] == [0.3, 0.7]
    assert float(loss.detach()) == pytest.approx(0.3 * float(forced.detach()) + 0.7 * float(free.detach()), abs=1e-9)
    assert float(fed.counts()["fed_back"]) == pytest.approx(0.7 * 21)


@pytest.mark.parametrize(("ratio", "same"), [(1.0, 1.0), (0.0, 0.0)])
def test_a_mixed_loss_of_one_kind_makes_one_run(ratio: float, same: float) -> None:
    fed, loss, _ = learnt(ConstantConfig(granularity=Granularity.mixed), ratio)
    _, other, _ = learnt(ConstantConfig(), same)
    assert len(fed.parts) == 1
    assert torch.equal(loss, other)


# -- confidence --------------------------------------------------------------------------------------------------------


def test_confidence_feeds_own_tokens_where_the_label_is_probable() -> None:
    """By hand: softmax of the gold pass at each position, in the label predicted there."""
    model = model_of()
    with torch.no_grad():
        gold = feed(ConstantConfig(), 1.0, model).parts[0].readouts.readout
        probabilities = model.output_layer(gold).softmax(-1).gather(2, BATCH.target_labels.unsqueeze(2)).squeeze(2)
    fed = feed(ConfidenceConfig(threshold=0.11), model=model)
    assert fed.ratios is not None and fed.ratios.dtype is torch.float64
    sure = (probabilities > 0.11) & fed.choosable
    assert 3 < int(sure.sum()) < 18
    assert torch.equal(fed.ratios[fed.choosable], (~sure)[fed.choosable].double())
    assert torch.equal(fed.parts[0].gold_mask, ~sure)
    assert fed.counts()["ratios"] == 21 - sure.sum()


def test_the_floor_of_confidence_is_a_ratio_of_its_own() -> None:
    sure = feed(ConfidenceConfig(threshold=0.0, floor=0.5))
    assert sure.ratios is not None and (sure.ratios[sure.choosable] == 0.5).all()
    coins = feed(ConstantConfig(), 0.5)
    assert torch.equal(sure.parts[0].gold_mask, coins.parts[0].gold_mask)  # type: ignore[arg-type]


def test_the_gold_pass_leaves_no_gradient_behind() -> None:
    """Fed the same tokens, a model learns the same, whoever chose them."""
    model = model_of()
    fed, _, gradients = learnt(ConfidenceConfig(threshold=0.11), model=model)
    heard = fed.parts[0].readouts.fed_tokens
    assert heard is not None
    torch.manual_seed(7)
    again = Feeder(ConstantConfig(), 1).feed(model, replace(BATCH, target_inputs=heard), 1.0, UPDATE)
    expected = torch.autograd.grad(total(again, model), list(model.parameters()))
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


# -- other options -----------------------------------------------------------------------------------------------------


def test_a_ratio_that_falls_with_the_position_does() -> None:
    """0.8·0.5^t: 0.4, 0.2, 0.1 at t = 1, 2, 3, each share within five standard deviations of 4,000 coins."""
    for granularity, places, updates in ((Granularity.token, 4000, 1), (Granularity.step, 1, 4000)):
        masks = [
            draw_gold_mask(0.8, granularity, 1, update, torch.arange(places), 4, position_decay=0.5)
            for update in range(updates)
        ]
        gold = torch.cat([mask if mask is not None else torch.ones(places, 4) for mask in masks]).double().mean(0)
        assert gold[0] == 1
        for position, expected in ((1, 0.4), (2, 0.2), (3, 0.1)):
            assert float(gold[position]) == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 4000))


def test_a_ratio_of_one_that_falls_is_no_teacher_forcing() -> None:
    fed = feed(ConstantConfig(position_decay=0.5), 1.0)
    assert fed.parts[0].gold_mask is not None
    assert fed.counts()["fed_back"] > 5


def test_truncated_gradients_are_those_of_the_option() -> None:
    _, loss, whole = learnt(ConstantConfig(), 1.0)
    _, same, cut = learnt(ConstantConfig(tbptt=2), 1.0)
    assert torch.equal(loss, same)
    assert any(not torch.allclose(one, other) for one, other in zip(whole, cut, strict=True))


def test_gumbel_feeds_mixtures_and_its_noise_belongs_to_the_place() -> None:
    config = ConstantConfig(fed_back=FedBackToken.gumbel, temperature=0.5)
    fed, _, gradients = learnt(config)
    _, _, others = learnt(replace(config, hard=True))
    assert fed.parts[0].readouts.passes == 1
    assert any(not torch.allclose(one, other) for one, other in zip(gradients, others, strict=True))


# -- what a feeder remembers -------------------------------------------------------------------------------------------


def test_a_feeder_goes_on_from_what_it_remembers() -> None:
    scores = [{"val/loss": value, "val/free_running_loss": value + 1} for value in (3.0, 2.5, 2.6, 2.4, 2.3)]
    whole, before, after = (Feeder(AdaptiveConfig(), 1) for _ in range(3))
    for score in scores:
        whole.observe(score)
    for score in scores[:2]:
        before.observe(score)
    after.load_state_dict(before.state_dict())
    for score in scores[2:]:
        after.observe(score)
    assert after.state_dict() == whole.state_dict() == {"ratio": pytest.approx(0.85), "reference": 2.3}


@pytest.mark.parametrize("config", [ConstantConfig(), ConfidenceConfig()], ids=lambda config: config.name)
def test_what_remembers_nothing_saves_nothing(config: TeacherForcingConfig) -> None:
    feeder = Feeder(config, 1)
    feeder.observe({"val/loss": 1.0})
    assert feeder.state_dict() == {}
