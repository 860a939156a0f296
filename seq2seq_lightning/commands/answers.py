"""What `seq2seq-translate` writes for a line: its best output, or a JSON object with all that was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seq2seq_lightning.command_config import OutputFormat, TranslateConfig
from seq2seq_lightning.decoding.protocol import Hypothesis, TraceStep
from seq2seq_lightning.trained import Trained


def answer(trained: Trained, source: str, hypotheses: Sequence[Hypothesis], config: TranslateConfig) -> str:
    """One output line, without its end; of an empty source nothing, or an empty n-best list."""
    if config.format is OutputFormat.text:
        return trained.text(hypotheses[0], source) if hypotheses else ""
    row = {"source": source, "n_best": [_entry(trained, source, each) for each in hypotheses]}
    return json.dumps(row, ensure_ascii=False)


def _entry(trained: Trained, source: str, hypothesis: Hypothesis) -> dict[str, Any]:
    """A hypothesis with scores, per-token log-probabilities, and what else it brought along."""
    entry = {"text": trained.text(hypothesis, source), "score": hypothesis.score, "log_prob": hypothesis.log_prob}
    entry |= {"finished": hypothesis.finished, "token_log_probs": hypothesis.token_log_probs}
    if hypothesis.attention is not None:
        entry["attention"] = hypothesis.attention
    if hypothesis.trace is not None:
        entry["trace"] = [_step(trained, source, step) for step in hypothesis.trace.steps]
        entry["stop"] = hypothesis.trace.stop.value
    return entry


def _step(trained: Trained, source: str, step: TraceStep) -> dict[str, Any]:
    def word(token: int) -> str:
        return trained.evaluator.word(token, source)

    told: dict[str, Any] = {"fed": word(step.fed), "written": word(step.written), "log_prob": step.log_prob}
    told["top"] = [[word(token), log_prob] for token, log_prob in step.top]
    return told if step.attention is None else told | {"attention": step.attention}
