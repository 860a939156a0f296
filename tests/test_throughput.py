"""The arithmetic of a benchmark. Nothing here asks how fast this machine is."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning import throughput
from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Pair, encode_split
from seq2seq_lightning.decoding import BeamConfig, ForcedLength, GreedyConfig
from seq2seq_lightning.models.cost import Positions, multiply_adds
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.throughput import (
    Arithmetic,
    ProductRate,
    Spread,
    Work,
    arithmetics,
    better,
    product_rates,
    search_rate,
    training_rate,
    training_work,
)
from seq2seq_lightning.trained import Trained, new_model

PAIRS = [Pair.of("a b c", "c b a"), Pair.of("a", "a"), Pair.of("b c", "c b"), Pair.of("c a b a", "a b a c")]


@pytest.fixture(scope="module")
def trained() -> Trained:
    plain = Config().to_plain()
    for side in ("encoder", "decoder"):
        plain["model"][side] |= {"embedding_size": 3, "hidden_size": 4}
    config = Config.from_plain(plain)
    source = SourceCodec.build(config.text.source, (pair.source for pair in PAIRS))
    target = TargetCodec.build(config.text.target, (pair.target for pair in PAIRS))
    return Trained(config, new_model(config, source, target), source, target, None)


# -- training ----------------------------------------------------------------------------------------------------------


def test_rates_are_medians_of_windows_behind_the_warm_up() -> None:
    work = Work(flops_per_label=2e6, labels_per_sentence=10.0, shares={})
    windows = [[100.0, 10], [100.0, 10], [2.0, 8000], [1.0, 8000], [4.0, 8000]]
    rate = training_rate(windows, warmup=20, work=work)
    assert rate.windows == 3
    assert rate.target_tokens_per_second == Spread(4000.0, 2000.0, 8000.0)
    assert rate.sentences_per_second == Spread(400.0, 200.0, 800.0)
    assert rate.milliseconds_per_update == Spread(200.0, 100.0, 400.0)  # ten updates a window
    assert rate.target_tokens_per_update == 800.0
    assert rate.useful_gflops == Spread(8.0, 4.0, 16.0)  # 4,000 labels a second · 2 MFLOP


@pytest.mark.parametrize(("warmup", "left"), [(0, 5), (1, 4), (10, 4), (11, 3)])
def test_a_window_that_begins_in_the_warm_up_is_out(warmup: int, left: int) -> None:
    work = Work(flops_per_label=1.0, labels_per_sentence=1.0, shares={})
    assert training_rate([[1.0, 1]] * 5, warmup, work).windows == left


def test_the_work_per_label_is_that_of_real_positions(trained: Trained) -> None:
    work = training_work(trained, encode_split(PAIRS, trained.source, trained.target))
    # sources with eos 4, 2, 3, 5 and labels with eos 4, 2, 3, 5: 14 labels of 4 sentences
    parts = multiply_adds(trained.model, Positions(4, 14, 14, 16 + 4 + 9 + 25))
    assert work.labels_per_sentence == 3.5
    assert work.flops_per_label == pytest.approx(sum(parts.values()) * 2 * 3 / 14)
    assert sum(work.shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert work.shares["output"] == pytest.approx(parts["output"] / sum(parts.values()), abs=1e-4)


# -- search ------------------------------------------------------------------------------------------------------------


class Clock:
    """The module `time`, in which every look takes equally long."""

    def __init__(self, step: float) -> None:
        self.step, self.looks = step, 0

    def perf_counter(self) -> float:
        self.looks += 1
        return self.looks * self.step


@pytest.mark.parametrize(
    ("decoding", "rows"),
    [
        (GreedyConfig(forced_length=ForcedLength.reference), 1),
        (BeamConfig(beam_width=3, forced_length=ForcedLength.reference), 3),
    ],
)
def test_search_counts_sentences_labels_and_rows(
    decoding: GreedyConfig, rows: int, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "time", Clock(2.0**-20))
    rate = search_rate(trained, PAIRS, decoding, batch_size=3, passes=2)
    assert (rate.batch_size, rate.sentences, rate.passes) == (3, 4, 2)
    assert rate.sentences_per_second == Spread(*[4.0 * 2**20] * 3)
    assert rate.labels_per_second == Spread(*[14.0 * 2**20] * 3)  # as many as the references have
    assert rate.labels_per_sentence == 3.5
    assert rate.finished_share == 1.0
    work = multiply_adds(trained.model, Positions(4, 14, 14, 16 + 4 + 9 + 25), rows)
    assert rate.useful_gflops.median == round(2 * sum(work.values()) * 2**20 / 1e9, 1) > 5.0


def test_a_search_is_timed_in_batches_of_the_size_asked_for(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    search = trained.evaluator.search
    monkeypatch.setattr(
        trained.evaluator,
        "search",
        lambda split, decoding: seen.append((len(split), decoding.batch_size)) or search(split, decoding),
    )
    search_rate(trained, PAIRS, GreedyConfig(max_length=3, batch_size=77), batch_size=2, passes=2)
    assert seen == [(2, 2), (4, 2), (4, 2)]  # one batch to warm up, two passes


# -- the machine -------------------------------------------------------------------------------------------------------


def test_the_training_s_own_arithmetic_comes_first_and_none_twice() -> None:
    assert [each.name for each in arithmetics("32-true", "highest")] == [
        "float32, highest",
        "float32, medium",
        "bfloat16",
    ]
    assert [each.name for each in arithmetics("32-true", "medium")] == [
        "float32, medium",
        "float32, highest",
        "bfloat16",
    ]
    assert [each.name for each in arithmetics("bf16-mixed", "high")] == [
        "bfloat16",
        "float32, high",
        "float32, highest",
        "float32, medium",
    ]
    assert arithmetics("64-true", "highest")[0].dtype is torch.float64


def test_products_are_measured_in_every_arithmetic_and_shape_and_leave_the_precision_alone() -> None:
    before = torch.get_float32_matmul_precision()
    ways = [Arithmetic(torch.float32, "medium"), Arithmetic(torch.float64, "highest")]
    shapes = [(2, 3, 4), (64, 512, 2048)]
    rates = list(product_rates(ways, torch.device("cpu"), seconds=0.0, shapes=shapes))
    assert torch.get_float32_matmul_precision() == before
    assert [(rate.arithmetic, rate.shape) for rate in rates] == [(way.name, shape) for way in ways for shape in shapes]
    assert all(rate.best >= rate.median > 0 for rate in rates if rate.shape != (2, 3, 4))
    errors = {rate.arithmetic: rate.error for rate in rates if rate.error is not None}
    assert errors["float64"] == 0.0
    assert 0.0 < errors["float32, medium"] < 0.1


def test_a_rate_is_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "time", Clock(1.0))
    (rate,) = product_rates([Arithmetic(torch.float32, "highest")], torch.device("cpu"), 0.0, [(100, 1000, 1000)])
    assert (rate.best, rate.median, rate.error) == (0.2, 0.2, None)  # 2 · 100 · 1000 · 1000 in a second


def test_the_better_of_two_looks_counts() -> None:
    slow, fast = (ProductRate("float64", (1, 1, 1), best, 1.0, None) for best in (3.0, 4.0))
    assert better(slow, fast) is fast
    assert better(fast, slow) is fast
