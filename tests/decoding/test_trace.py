"""What a trace tells, read off a table of transitions, and that it agrees with the search."""

from __future__ import annotations

import math

import pytest
import torch

from seq2seq_lightning.decoding import SEARCHES, BeamConfig, DecodingConfig, GreedyConfig, Hypothesis, StopRule
from seq2seq_lightning.decoding.protocol import Stop
from seq2seq_lightning.decoding.trace import traced
from tests.decoding.table_model import IDS, TableModel, random_model, run
from tests.decoding.test_small_truths import GARDEN_PATH, A, B, bigrams


def trace(model: TableModel, found: list[list[Hypothesis]], top: int = 3, lengths: int = 3) -> list[list[Hypothesis]]:
    state, memory, _ = model.start(range(len(found)), [lengths] * len(found))
    return traced(model, state, memory, found, IDS, top, [lengths] * len(found))


def test_a_trace_read_off_the_table() -> None:
    """bos → a 0.6, b 0.4; a → a 0.35, b 0.35, eos 0.3; b → eos 0.9, a 0.1.

    Greedy search writes a a a and is cut; the best of a beam is b. Of a and b behind a, equally probable, the lower id
    comes first.
    """
    model = bigrams(GARDEN_PATH)
    after_a = [(A, 0.35), (B, 0.35), (IDS.eos, 0.3)]
    (greedy,) = trace(model, run(model, [0], GreedyConfig(max_length=3)))[0]
    assert greedy.trace is not None and greedy.trace.stop is Stop.max_length
    assert [(step.fed, step.written) for step in greedy.trace.steps] == [(IDS.bos, A), (A, A), (A, A)]
    tops = [[(token, math.exp(log_prob)) for token, log_prob in step.top] for step in greedy.trace.steps]
    assert [each[0] for each in tops[0][:2]] == [A, B]
    assert [each[1] for each in tops[0][:2]] == pytest.approx([0.6, 0.4])
    for seen in tops[1:]:
        assert [token for token, _ in seen] == [token for token, _ in after_a]
        assert [p for _, p in seen] == pytest.approx([p for _, p in after_a])
    (best,) = trace(model, run(model, [0], BeamConfig(beam_width=2, max_length=3)), top=1)[0]
    assert best.trace is not None and best.trace.stop is Stop.eos
    assert [(step.fed, step.written) for step in best.trace.steps] == [(IDS.bos, B), (B, IDS.eos)]
    assert [step.top[0][0] for step in best.trace.steps] == [A, IDS.eos]  # at first a was more probable
    assert [math.exp(step.log_prob) for step in best.trace.steps] == pytest.approx([0.4, 0.9])


def test_a_dead_end_says_that_nothing_was_possible() -> None:
    model = bigrams({IDS.bos: {A: 1.0}, A: {IDS.pad: 1.0}})
    (found,) = trace(model, run(model, [0], GreedyConfig(max_length=5)))[0]
    assert found.trace is not None and found.trace.stop is Stop.nothing_possible
    assert [(step.fed, step.written) for step in found.trace.steps] == [(IDS.bos, A)]


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_trace_agrees_with_the_search(kind: type[DecodingConfig]) -> None:
    """Every hypothesis of n-best lists of unequal length, whatever was forbidden: the model's own numbers."""
    model = random_model(5, 7, sharpness=1.0)
    config = kind(max_length=6, repetition_penalty=1.5, no_repeat_ngram=2)
    found = run(model, range(6), config, with_token_log_probs=True, with_attention=True)
    for best in trace(model, found, top=99):
        for each in best:
            assert each.trace is not None
            labels = [*each.tokens, IDS.eos] if each.finished else each.tokens
            assert [step.written for step in each.trace.steps] == labels
            assert [step.fed for step in each.trace.steps] == [IDS.bos, *labels][: len(labels)]
            assert [step.log_prob for step in each.trace.steps] == pytest.approx(each.token_log_probs)
            for step, weights in zip(each.trace.steps, each.attention or [], strict=True):
                assert step.attention == pytest.approx(weights)
                assert sum(math.exp(log_prob) for _, log_prob in step.top) == pytest.approx(1.0)  # 99: all of them
                assert [p for _, p in step.top] == sorted((p for _, p in step.top), reverse=True)
                assert dict(step.top)[step.written] == step.log_prob


def test_n_best_lists_may_be_of_unequal_length_and_outputs_empty() -> None:
    table = torch.full((4096, 5), -20.0, dtype=torch.float64)
    table[:, IDS.eos] = -1e-9
    model = TableModel(table)
    found = run(model, [0, 1], BeamConfig(beam_width=3, n_best=3, max_length=2, stop=StopRule.exact))
    found[1] = found[1][:1]
    told = trace(model, found)
    assert [len(best) for best in told] == [len(best) for best in found]
    first = told[1][0]
    assert first.tokens == [] and first.trace is not None
    assert [(step.fed, step.written) for step in first.trace.steps] == [(IDS.bos, IDS.eos)]
    assert first.trace.steps[0].attention is None
