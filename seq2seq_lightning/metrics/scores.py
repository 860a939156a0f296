"""The metrics by name, and a corpus scored by all that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.metrics.corpus import BLEUConfig, ChrFConfig, TERConfig, bleu, chrf, ter
from seq2seq_lightning.metrics.execution import ExecutionConfig, execution
from seq2seq_lightning.metrics.score import References, Score
from seq2seq_lightning.metrics.sequence import cer, exact_match, per, sequence_error, token_accuracy, wer
from seq2seq_lightning.plugins import Table

BUCKET_WIDTH = 5
LOWER_IS_BETTER_OF_MODELS = frozenset({"loss", "nll", "nll_bits", "perplexity", "free_running_loss", "self_bleu"})
HIGHER_IS_BETTER_OF_MODELS = frozenset(
    {"expected_exact_match", "carried_bits", "length_ratio", "distinct_1", "distinct_2", "distinct_4"}
)  # computed from a model, or from n-best lists; a length ratio is best near 1


@dataclass
class MetricsConfig:
    """Which scores are reported, and how those with settings are computed."""

    report: list[str] = field(default_factory=lambda: ["exact_match", "token_accuracy", "bleu", "chrf"])
    bleu: BLEUConfig = field(default_factory=BLEUConfig)
    chrf: ChrFConfig = field(default_factory=ChrFConfig)
    ter: TERConfig = field(default_factory=TERConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)

    def __post_init__(self) -> None:
        """Refuse unknown names."""
        for name in self.report:
            check_metric(name, "metrics.report")


@dataclass(frozen=True)
class Metric:
    """A corpus metric: hypotheses, references and the settings of all metrics → score."""

    score: Callable[[Sequence[str], References, MetricsConfig], Score]
    higher_is_better: bool


METRICS: Table[str, Metric] = Table(
    "metrics",
    Metric,
    {
        "exact_match": Metric(lambda texts, references, _: exact_match(texts, references), True),
        "sequence_error": Metric(lambda texts, references, _: sequence_error(texts, references), False),
        "token_accuracy": Metric(lambda texts, references, _: token_accuracy(texts, references), True),
        "bleu": Metric(lambda texts, references, config: bleu(texts, references, config.bleu), True),
        "chrf": Metric(lambda texts, references, config: chrf(texts, references, config.chrf), True),
        "ter": Metric(lambda texts, references, config: ter(texts, references, config.ter), False),
        "wer": Metric(lambda texts, references, _: wer(texts, references), False),
        "cer": Metric(lambda texts, references, _: cer(texts, references), False),
        "per": Metric(lambda texts, references, _: per(texts, references), False),
        "execution": Metric(lambda texts, references, config: execution(texts, references, config.execution), True),
    },
)


def check_metric(name: str, key: str) -> None:
    """Refuse a name no metric has; key: where the name was read."""
    if name not in METRICS:
        raise ConfigurationError(f"{key} names '{name}', which is no metric. {nearest(name, METRICS)}")


def score_corpus(
    config: MetricsConfig, hypotheses: Sequence[str], references: References, names: Sequence[str] | None = None
) -> dict[str, Score]:
    """Metric → score, in the order asked for; names: the metrics wanted, those of the config if not said."""
    wanted = config.report if names is None else names
    for name in wanted:
        check_metric(name, "metrics")
    return {name: METRICS[name].score(hypotheses, references, config) for name in wanted}


def buckets(source_lengths: Sequence[int], width: int = BUCKET_WIDTH) -> list[tuple[int, int, list[int]]]:
    """Sentences by source length: (from, to, places), both ends included; 1 to 5, 6 to 10, …; empty ones left out.

    A length of 0 counts into the first. Scores of a bucket are corpus scores of its sentences.
    """
    found: dict[int, list[int]] = {}
    for place, length in enumerate(source_lengths):
        found.setdefault(max(length - 1, 0) // width, []).append(place)
    return [(number * width + 1, (number + 1) * width, found[number]) for number in sorted(found)]


def higher_is_better(name: str) -> bool:
    """Whether a larger value of this score is better; a key such as `val/bleu` is known by its last part."""
    metric = name.rsplit("/", 1)[-1]
    if metric in LOWER_IS_BETTER_OF_MODELS | HIGHER_IS_BETTER_OF_MODELS:
        return metric in HIGHER_IS_BETTER_OF_MODELS
    if metric not in METRICS:
        known = [*METRICS, *sorted(LOWER_IS_BETTER_OF_MODELS | HIGHER_IS_BETTER_OF_MODELS)]
        raise ConfigurationError(f"'{name}' is no score. {nearest(metric, known)}")
    return METRICS[metric].higher_is_better
