"""How well a search searches, apart from how good the model is: measured against the widest beam one cares to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import fmean
from typing import Any

from seq2seq_lightning.decoding import BeamConfig, DecodingConfig, GreedyConfig
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.metrics.n_best import distinct, oracle
from seq2seq_lightning.metrics.score import References

TOLERANCE = 1e-5  # scores that differ by less are equal: float32 adds up differently in wider beams


@dataclass(frozen=True)
class SearchQuality:
    """What is written beside the scores of a decoding as `quality.json`; shares are in per cent."""

    widest: int  # the beam width compared with
    score_gap: float | None  # mean over sentences of max(0, widest's model score − this search's); None: no finite one
    search_errors: float  # sentences for which the widest beam found a hypothesis with a better model score
    length_ratio: float  # tokens of the outputs ÷ tokens of the targets
    unfinished: float | None  # outputs that did not end with eos; None for a model that writes none
    n_best: float  # hypotheses per sentence
    oracle: dict[str, float] = field(default_factory=dict)  # metric → of the best hypothesis of each n-best list
    distinct_1: float | None = None  # different words ÷ words of an n-best list, mean over sentences
    distinct_2: float | None = None  # the same of word pairs
    sentences_per_second: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)


def describe_quality(test_set: str, told: dict[str, Any]) -> str:
    """The file on one line, as the command prints it."""
    gap = "no finite gap" if told["score_gap"] is None else f"score gap {told['score_gap']:.4g}"
    parts = [f"{gap} to beam {told['widest']}", f"{told['search_errors']:.4g} % search errors"]
    parts.append(f"length ratio {told['length_ratio']:.4g}")
    parts += [f"{told['unfinished']:.4g} % unfinished"] if told["unfinished"] is not None else []
    if told["n_best"] > 1:
        parts += [f"oracle {metric} {value:.4g}" for metric, value in told["oracle"].items()]
        parts += [f"distinct-{n} {told[f'distinct_{n}']:.4g}" for n in (1, 2) if told[f"distinct_{n}"] is not None]
    return f"  {test_set}: " + ", ".join([*parts, f"{told['sentences_per_second']} sentences/s"])


def widest_beam(decoding: DecodingConfig, width: int) -> BeamConfig:
    """The beam search that a search is compared with: the same score, limits and constraints, and a wider beam."""
    kind = BeamConfig if isinstance(decoding, BeamConfig) else DecodingConfig
    shared = {each.name: getattr(decoding, each.name) for each in fields(kind) if each.name != "name"}
    if not _is_scored_by_model(decoding):
        shared["repetition_penalty"] = 1.0  # compared by plain log-probability
    return BeamConfig(**(shared | {"beam_width": width, "n_best": 1}))


def search_quality(
    decoding: DecodingConfig,
    width: int,
    found: Sequence[Sequence[Hypothesis]],
    widest: Sequence[Sequence[Hypothesis]],
    texts: Sequence[Sequence[str]],
    references: References,
    target_tokens: int,
    metrics: MetricsConfig,
    seconds: float,
    with_eos: bool = True,
) -> SearchQuality:
    """Compare; found, widest: n-best lists in the order of the split; texts: those of found."""
    gaps = [
        best[0].score - _model_score(own[0], decoding) for own, best in zip(found, widest, strict=True)
    ]  # NaN where neither found anything possible
    finite = [max(0.0, gap) for gap in gaps if math.isfinite(gap)]
    words = [[text.split() for text in several] for several in texts]
    return SearchQuality(
        widest=width,
        score_gap=fmean(finite) if finite else None,
        search_errors=100.0 * fmean(gap > TOLERANCE for gap in gaps),
        length_ratio=sum(len(own[0].tokens) for own in found) / max(target_tokens, 1),
        unfinished=100.0 * fmean(not own[0].finished for own in found) if with_eos else None,
        n_best=fmean(len(own) for own in found),
        oracle={name: oracle(name, texts, references, metrics).value for name in metrics.report},
        distinct_1=_mean(distinct(each, 1) for each in words),
        distinct_2=_mean(distinct(each, 2) for each in words),
        sentences_per_second=round(len(found) / seconds, 1) if seconds else None,
    )


def _is_scored_by_model(decoding: DecodingConfig) -> bool:
    """Whether hypotheses are sorted by what the model says of them; samples and minimum Bayes risk are not."""
    return isinstance(decoding, GreedyConfig | BeamConfig)


def _model_score(hypothesis: Hypothesis, decoding: DecodingConfig) -> float:
    return hypothesis.score if _is_scored_by_model(decoding) else hypothesis.log_prob


def _mean(values: Any) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None
