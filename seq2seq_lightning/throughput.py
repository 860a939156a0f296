"""What training and search reach beside what the machine can do: rates of work, of matrix products, of sentences."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.data.example import EncodedSplit, Pair
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.models.cost import FLOPS_PER_MULTIPLY_ADD, PASSES_OF_TRAINING, Positions, multiply_adds
from seq2seq_lightning.trained import Trained
from seq2seq_lightning.training.devices import synchronise

# (rows, inputs) × (inputs, outputs): the gates of an LSTM for a position, a batch and a large batch; a vocabulary
SHAPES = ((64, 512, 2048), (1024, 512, 2048), (4096, 512, 2048), (1024, 512, 8000))
TYPES = {
    "32-true": torch.float32,
    "64-true": torch.float64,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 1) -> Spread:
        """Rounded for reading."""
        return cls(*(round(each, digits) for each in (statistics.median(values), min(values), max(values))))


# -- the machine -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    """A way to multiply matrices: the type of the numbers, and what torch may do to float32 inside."""

    dtype: torch.dtype
    matmul_precision: str

    @property
    def name(self) -> str:
        """`bfloat16`, or `float32, highest`: the second word matters to float32 alone."""
        word = str(self.dtype).removeprefix("torch.")
        return f"{word}, {self.matmul_precision}" if self.dtype is torch.float32 else word


@dataclass(frozen=True)
class ProductRate:
    """One matrix product: GFLOP/s of the best and of the median repetition, and how far off its numbers are."""

    arithmetic: str
    shape: tuple[int, int, int]
    best: float
    median: float
    error: float | None  # largest difference from float64 ÷ largest value; None where not looked at


def arithmetics(precision: str, matmul_precision: str) -> list[Arithmetic]:
    """The one a training runs in first, then those it could run in."""
    own = Arithmetic(TYPES[precision], matmul_precision)
    others = [Arithmetic(torch.float32, word) for word in (matmul_precision, "highest", "medium")]
    found = {each.name: each for each in (own, *others, Arithmetic(torch.bfloat16, matmul_precision))}
    return list(found.values())


def product_rates(
    ways: Sequence[Arithmetic],
    device: torch.device,
    seconds: float = 0.3,
    shapes: Sequence[tuple[int, int, int]] = SHAPES,
) -> Iterator[ProductRate]:
    """Measure every way on every shape, as ``F.linear``, which is how models multiply; at least three times each."""
    before = torch.get_float32_matmul_precision()
    try:
        for way in ways:
            torch.set_float32_matmul_precision(way.matmul_precision)
            for shape in shapes:
                yield _product_rate(way, shape, device, seconds)
    finally:
        torch.set_float32_matmul_precision(before)


@torch.inference_mode()
def _product_rate(way: Arithmetic, shape: tuple[int, int, int], device: torch.device, seconds: float) -> ProductRate:
    rows, inputs, outputs = shape
    stream = torch.Generator().manual_seed(0)
    left, right = torch.randn(rows, inputs, generator=stream), torch.randn(outputs, inputs, generator=stream)
    values, weight = left.to(device, way.dtype), right.to(device, way.dtype)
    error = None
    if shape == min(SHAPES):  # the others would take long in float64
        error = _error(F.linear(values, weight), F.linear(values.double(), weight.double()))
    times = _times(lambda: F.linear(values, weight), device, seconds)
    flops = FLOPS_PER_MULTIPLY_ADD * rows * inputs * outputs / 1e9
    best, median = (round(flops / each, 1) for each in (min(times), statistics.median(times)))
    return ProductRate(way.name, shape, best, median, error)


def _error(found: Tensor, exact: Tensor) -> float:
    return float(f"{float((found.double() - exact).abs().max() / exact.abs().max()):.1e}")


def _times(work: Callable[[], Any], device: torch.device, seconds: float) -> list[float]:
    """Seconds of each repetition, after one that does not count."""
    times: list[float] = []
    work()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return times


def better(one: ProductRate, other: ProductRate) -> ProductRate:
    """What the machine can do is the best of two looks, because other programs only ever make it slower."""
    return one if one.best >= other.best else other


# -- training ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingRate:
    """What the training loop reached, over windows of ten updates."""

    windows: int
    target_tokens_per_second: Spread
    sentences_per_second: Spread
    milliseconds_per_update: Spread
    target_tokens_per_update: float
    useful_gflops: Spread


def training_rate(
    windows: Sequence[Sequence[float]], warmup: int, work: Work, updates_per_window: int = 10
) -> TrainingRate:
    """windows: [seconds, labels] of each so many updates from the first on; those that begin in the warm-up are out."""
    timed = windows[math.ceil(warmup / updates_per_window) :]
    rates = [labels / seconds for seconds, labels in timed]
    return TrainingRate(
        windows=len(timed),
        target_tokens_per_second=Spread.of(rates),
        sentences_per_second=Spread.of([rate / work.labels_per_sentence for rate in rates]),
        milliseconds_per_update=Spread.of([1000 * seconds / updates_per_window for seconds, _ in timed]),
        target_tokens_per_update=round(sum(labels for _, labels in timed) / len(timed) / updates_per_window, 1),
        useful_gflops=Spread.of([rate * work.flops_per_label / 1e9 for rate in rates]),
    )


@dataclass(frozen=True)
class Work:
    """What a training is asked to compute, per label on average over the training split."""

    flops_per_label: float
    labels_per_sentence: float
    shares: dict[str, float]  # of the parts of the model


def training_work(trained: Trained, split: EncodedSplit) -> Work:
    """The arithmetic of one pass over the split, forward and backward; see ``models.cost``."""
    labels = split.label_lengths(trained.target.config.eos).tolist()
    positions = Positions.of(split.source_lengths.tolist(), labels)
    parts = multiply_adds(trained.model, positions)
    total = sum(parts.values())
    return Work(
        flops_per_label=total * FLOPS_PER_MULTIPLY_ADD * PASSES_OF_TRAINING / positions.target,
        labels_per_sentence=positions.target / positions.sentences,
        shares={part: round(count / total, 4) for part, count in parts.items()},
    )


# -- search ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchRate:
    """What one search reached over a test set; labels are those of the best hypotheses, their eos included."""

    batch_size: int
    sentences: int
    passes: int
    sentences_per_second: Spread
    labels_per_second: Spread
    labels_per_sentence: float
    finished_share: float
    useful_gflops: Spread  # of the rows of the beam at the positions of the best hypothesis


def search_rate(
    trained: Trained, pairs: Sequence[Pair], decoding: DecodingConfig, batch_size: int, passes: int
) -> SearchRate:
    """Time whole passes of the search that `seq2seq-evaluate` runs: batching and encoder are timed, scoring is not."""
    evaluator, decoding = trained.evaluator, replace(decoding, batch_size=batch_size)
    split = evaluator.encode(pairs)
    evaluator.search(evaluator.encode(pairs[:batch_size]), decoding)
    times = []
    for _ in range(passes):
        synchronise(evaluator.device)
        start = time.perf_counter()
        found = evaluator.search(split, decoding)
        synchronise(evaluator.device)
        times.append(time.perf_counter() - start)
    best = [n_best[0] for n_best in found]
    lengths = [max(len(each.tokens) + each.finished, 1) for each in best]
    rows = getattr(decoding, "beam_width", 1)
    work = multiply_adds(trained.model, Positions.of(split.source_lengths.tolist(), lengths), rows)
    flops = FLOPS_PER_MULTIPLY_ADD * sum(work.values())
    return SearchRate(
        batch_size=batch_size,
        sentences=len(pairs),
        passes=passes,
        sentences_per_second=Spread.of([len(pairs) / each for each in times]),
        labels_per_second=Spread.of([sum(lengths) / each for each in times]),
        labels_per_sentence=round(sum(lengths) / len(lengths), 2),
        finished_share=round(sum(each.finished for each in best) / len(best), 4),
        useful_gflops=Spread.of([flops / each / 1e9 for each in times]),
    )
