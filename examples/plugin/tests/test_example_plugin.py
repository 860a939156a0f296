"""What no law can know: values worked by hand. The laws of seq2seq_lightning run over the components besides."""

import pytest
import torch
from seq2seq_example_plugin.bag_f1 import bag_f1
from seq2seq_example_plugin.cosine_attention import CosineAttention, CosineAttentionConfig
from seq2seq_example_plugin.cosine_schedule import CosineConfig, cosine
from seq2seq_example_plugin.leaky import Leaky, LeakyConfig
from seq2seq_example_plugin.unzip import UnzipConfig, UnzipTask

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.metrics import MetricsConfig


def test_a_leaky_step_by_hand() -> None:
    """0.75·0.4 + 0.25·tanh(2·1 + 0.5 − 1·0.4) = 0.3 + 0.25·tanh(2.1)."""
    cell = Leaky(LeakyConfig(leak=0.25), 1, 1).double()
    for parameter, value in ((cell.weight_ih, 2.0), (cell.bias, 0.5), (cell.weight_hh, -1.0)):
        torch.nn.init.constant_(parameter, value)
    one = torch.ones(1, 1, dtype=torch.float64)
    output, _ = cell.step(one, {"hidden": 0.4 * one})
    assert output.item() == pytest.approx(0.3 + 0.25 * 0.9704519366134539, abs=1e-12)  # tanh(2.1)


def test_a_leak_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"`leak` of the cell is 0.0; it must be above 0"):
        LeakyConfig(leak=0.0)


def test_scores_are_cosines_times_the_sharpness() -> None:
    attention = CosineAttention(CosineAttentionConfig(sharpness=4.0), 2, 2)
    torch.nn.init.eye_(attention.key_map.weight)
    states = torch.tensor([[[1.0, 0.0], [0.0, 9.0], [3.0, 3.0]]])
    scores = attention.scores(torch.tensor([[[5.0, 0.0]]]), attention.keys(states))
    assert scores.flatten().tolist() == pytest.approx([4.0, 0.0, 4.0 * 0.5**0.5], abs=1e-6)
    assert CosineAttentionConfig(sharpness=0.0).problems(2, 2)[0].startswith("model.attention.sharpness is 0.0")


def test_the_schedule_is_half_a_wave() -> None:
    config = CosineConfig(start=1.0, end=0.2)
    found = [cosine(config, share) for share in (0.0, 1 / 3, 0.5, 1.0)]
    assert found == pytest.approx([1.0, 0.2 + 0.8 * 0.75, 0.6, 0.2])  # cos(π/3) = 1/2


def test_order_does_not_matter_to_the_metric() -> None:
    score = bag_f1(["b a a", "x"], [("a b",), ("y z", "x y")], MetricsConfig())
    assert score.value == pytest.approx(200 * (2 + 1) / (5 + 3))


def test_odd_places_come_first() -> None:
    assert UnzipTask(UnzipConfig()).answer(list("12345")) == list("13524")
