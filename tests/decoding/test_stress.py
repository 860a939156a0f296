"""Sizes at the edges: right results or clear errors, and memory that a step bounds."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
import torch

from seq2seq_lightning.decoding import (
    SEARCHES,
    BeamConfig,
    DecodingConfig,
    DiverseBeamConfig,
    LengthPenalty,
    Requests,
    StopRule,
    trie,
)
from tests.decoding.table_model import IDS, Answer, Code, Sentences, TableModel, every_output, random_model, run

ALL = [kind() for kind in SEARCHES]
named = pytest.mark.parametrize("config", ALL, ids=lambda config: config.name)


class Wide(TableModel):
    """A vocabulary of fifty thousand: the row depends on the token fed last."""

    def step(self, tokens: torch.Tensor, state: Code, memory: Sentences) -> Answer:
        self.rows_asked.append(len(tokens))
        return Answer(self.table[(tokens + state.code) % len(self.table)], None, Code(state.code + 1))


def wide_model(vocab: int = 50_000) -> Wide:
    logits = torch.randn(7, vocab, generator=torch.Generator().manual_seed(3))
    logits[:, IDS.eos] = 6.0
    return Wide(logits.log_softmax(1))


@named
def test_a_vocabulary_of_fifty_thousand(config: DecodingConfig) -> None:
    """Every constraint at once; memory grows by a few steps' worth, whatever is written."""
    config = replace(config, max_length=12, no_repeat_ngram=2, repetition_penalty=1.2)
    outputs = trie([(3, 40_000), (49_999, 7, 7), *((word,) for word in range(10, 400))])
    requests = Requests(
        prefixes=[[49_999], [], [], []],
        required=[[], [], [[77], [49_998, 5]], []] if config.serves_required() else None,
        allowed=[None, outputs, None, None],
        banned=[[100], [4, 4]],
    )
    model = wide_model()
    run(model, range(4), replace(config, max_length=2), requests=requests)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = run(model, range(4), config, requests=requests)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert found[0][0].tokens[0] == 49_999
    assert not found[1][0].finished or outputs.accepts(found[1][0].tokens)
    one_step = max(model.rows_asked) * 50_000 * 4
    assert grown < 6 * one_step


@named
@pytest.mark.parametrize("length", [1, 500])
def test_sources_of_one_and_of_five_hundred_positions(config: DecodingConfig, length: int) -> None:
    model = random_model(2, 6, source_time=500, sharpness=1.0)
    config = replace(config, max_length_ratio=0.1, max_length_offset=2)
    (best,) = run(model, [5], config, lengths=[length], with_attention=True)
    assert best[0].attention is not None
    assert {len(row) for row in best[0].attention} == {length}
    assert len(best[0].attention) <= 2 + length // 10


@pytest.mark.parametrize("groups", [1, 4])
def test_a_beam_of_a_hundred_over_three_words(groups: int) -> None:
    """Far wider than the vocabulary: all outputs of up to four labels are found, each once."""
    outputs = list(every_output(6, 1, 4))
    assert len(outputs) == 40
    kind = {"groups": groups, "diversity": 0.0} if groups > 1 else {}
    config = (DiverseBeamConfig if groups > 1 else BeamConfig)(
        beam_width=100 * groups, n_best=100, max_length=4, eos_at_maximum=True, stop=StopRule.first_k, **kind
    )
    (found,) = run(random_model(3, 6), [1], config)
    assert sorted(tuple(each.tokens) for each in found) == sorted(outputs)


@named
def test_one_label_and_nothing_finished(config: DecodingConfig) -> None:
    model = random_model(4, 6)
    model.table[:, IDS.eos] = -torch.inf
    found = run(model, range(3), replace(config, max_length=1))
    assert all(len(best[0].tokens) == 1 and not best[0].finished for best in found)
    found = run(model, range(3), replace(config, max_length=40))
    assert all(len(best[0].tokens) == 40 and not best[0].finished for best in found)


@named
def test_what_cannot_be_finished_says_so(config: DecodingConfig) -> None:
    """The only output allowed is longer than the maximum: a cut one comes back, as unfinished."""
    found = run(random_model(4, 6), [0], replace(config, max_length=2), requests=Requests(allowed=[trie([(3, 4, 5)])]))
    assert (found[0][0].tokens, found[0][0].finished) == ([3, 4], False)


@named
def test_bfloat16_is_searched_in_float32(config: DecodingConfig) -> None:
    model = random_model(6, 8)
    model.table = model.table.bfloat16()
    config = replace(config, max_length=60, min_length=60, repetition_penalty=1.5, no_repeat_ngram=7)
    (best,) = run(model, [0], config, with_token_log_probs=True)[0][:1]
    assert best.token_log_probs is not None
    assert best.log_prob == pytest.approx(sum(best.token_log_probs), rel=1e-3)


def test_the_bound_with_a_reward_is_not_too_low() -> None:
    """A reward of 3 a label pays for every label: the longest output wins, though short ones finish first."""
    model = random_model(1, 5, sharpness=0.3)
    config = BeamConfig(beam_width=4, word_reward=3.0, stop=StopRule.exact, max_length=9)
    assert len(run(model, [0], config)[0][0].tokens) == 8
    averaged = replace(config, length_penalty=LengthPenalty.average, alpha=1.0)
    assert len(run(model, [0], averaged)[0][0].tokens) == 8
