"""Scores of text against references. Knows no model and no vocabulary, and imports no torch."""

from __future__ import annotations

from seq2seq_lightning.metrics.corpus import BLEUConfig, ChrFConfig, TERConfig
from seq2seq_lightning.metrics.score import Score
from seq2seq_lightning.metrics.scores import (
    METRICS,
    Metric,
    MetricsConfig,
    buckets,
    higher_is_better,
    score_corpus,
)

__all__ = [
    "METRICS",
    "BLEUConfig",
    "ChrFConfig",
    "Metric",
    "MetricsConfig",
    "Score",
    "TERConfig",
    "buckets",
    "higher_is_better",
    "score_corpus",
]
