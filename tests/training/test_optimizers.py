"""Optimisers: the settings arrive, the first steps are the papers', fused or not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.optimizers import (
    OPTIMIZERS,
    AdamConfig,
    AdamWConfig,
    OptimizerConfig,
    SGDConfig,
    build_optimizer,
)


def after_steps(config: OptimizerConfig, gradients: list[float], fused: bool = True, value: float = 1.0) -> float:
    parameter = Parameter(torch.tensor([value], dtype=torch.float64))
    optimizer = build_optimizer(config, [parameter], fused=fused)
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return parameter.item()


def test_adam_steps_by_hand():
    config = AdamConfig(learning_rate=0.1, betas=[0.5, 0.75], eps=1e-12)
    # first step: m̂ = g, v̂ = g², so the step is lr·sign(g)
    assert after_steps(config, [4.0]) == pytest.approx(0.9)
    # second: m = 0.5·(0.5·4) + 0.5·0 = 1, m̂ = 1/(1 - 0.25) = 4/3; v = 0.75·(0.25·16) = 3, v̂ = 3/(1 - 0.5625) = 48/7
    assert after_steps(config, [4.0, 0.0]) == pytest.approx(0.9 - 0.1 * (4 / 3) / (48 / 7) ** 0.5)


def test_weight_decay_enters_adams_gradient_and_adamws_weight():
    # Adam: gradient 0 + 0.5·1 → a full step of lr; AdamW: 1 - lr·0.5·1, and no step, the gradient is 0
    assert after_steps(AdamConfig(learning_rate=0.1, weight_decay=0.5), [0.0]) == pytest.approx(0.9)
    assert after_steps(AdamWConfig(learning_rate=0.1, weight_decay=0.5), [0.0]) == pytest.approx(0.95)


def test_sgd_steps_by_hand():
    assert after_steps(SGDConfig(learning_rate=0.1), [2.0, 2.0]) == pytest.approx(0.6)
    # momentum 0.5: velocities 2 and 3
    assert after_steps(SGDConfig(learning_rate=0.1, momentum=0.5), [2.0, 2.0]) == pytest.approx(0.5)
    # Nesterov: steps 2 + 0.5·2 and 2 + 0.5·3
    assert after_steps(SGDConfig(learning_rate=0.1, momentum=0.5, nesterov=True), [2.0, 2.0]) == pytest.approx(0.35)


@pytest.mark.parametrize("config_class", OPTIMIZERS)
def test_fused_and_plain_take_the_same_steps(config_class):
    config = config_class(weight_decay=0.1)
    gradients = [0.3, -0.2, 0.5]
    assert after_steps(config, gradients) == pytest.approx(after_steps(config, gradients, fused=False), abs=1e-12)


@pytest.mark.parametrize("config_class", OPTIMIZERS)
def test_fused_where_torch_can(config_class):
    on_cpu, elsewhere = Parameter(torch.zeros(2)), Parameter(torch.zeros(2, device="meta"))
    assert build_optimizer(config_class(), [on_cpu]).defaults["fused"]
    assert not build_optimizer(config_class(), [on_cpu], fused=False).defaults["fused"]
    assert not build_optimizer(config_class(), [on_cpu, elsewhere]).defaults["fused"]


def test_frozen_parameters_are_left_alone():
    learning, frozen = Parameter(torch.zeros(2)), Parameter(torch.zeros(2), requires_grad=False)
    (group,) = build_optimizer(AdamConfig(), iter([learning, frozen])).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(learning)]


REFUSED = [
    (lambda: AdamConfig(learning_rate=0.0), ["optimizer.learning_rate is 0.0", "above 0"]),
    (lambda: AdamConfig(weight_decay=-1.0), ["optimizer.weight_decay is -1.0"]),
    (lambda: AdamConfig(clip_norm=0.0), ["optimizer.clip_norm is 0.0", "null"]),
    (lambda: AdamConfig(ema=1.0), ["optimizer.ema is 1.0", "below 1", "null"]),
    (lambda: SGDConfig(ema=0.0), ["optimizer.ema is 0.0", "above 0"]),
    (lambda: AdamConfig(betas=[0.9]), ["optimizer.betas is [0.9]", "two numbers", "[0.9, 0.999]"]),
    (lambda: AdamWConfig(betas=[0.9, 1.0]), ["optimizer.betas is [0.9, 1.0]"]),
    (lambda: AdamConfig(eps=0.0), ["optimizer.eps is 0.0"]),
    (lambda: SGDConfig(momentum=1.0), ["optimizer.momentum is 1.0"]),
    (lambda: SGDConfig(nesterov=True), ["optimizer.nesterov=true", "optimizer.momentum=0.9"]),
]


@pytest.mark.parametrize("build, parts", REFUSED)
def test_what_is_refused_and_how(build, parts):
    with pytest.raises(ConfigurationError) as caught:
        build()
    for part in parts:
        assert part in str(caught.value)
