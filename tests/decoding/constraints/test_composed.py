"""Small truths of constraints, worked by hand: what is left at a position after some labels."""

from __future__ import annotations

import math

import pytest
import torch

from seq2seq_lightning.decoding import BeamConfig, DiverseBeamConfig, GreedyConfig, Requests, SpecialIds, trie
from seq2seq_lightning.decoding.constraints.allowed import Automaton
from seq2seq_lightning.decoding.constraints.composed import Constraints, compose
from seq2seq_lightning.decoding.constraints.length import length_limits
from seq2seq_lightning.decoding.constraints.required import required_phrases
from seq2seq_lightning.errors import ConfigurationError
from tests.decoding.table_model import random_model, run

IDS = SpecialIds(pad=0, bos=1, eos=2)
A, B, C = 3, 4, 5
CPU = torch.device("cpu")
ALL = {IDS.eos, A, B, C}


def composed(sentences: int = 1, requests: Requests | None = None, **settings: object) -> Constraints:
    config = BeamConfig(max_length=9, **settings)  # type: ignore[arg-type]
    limits = length_limits(config, torch.full((sentences,), 3), None, CPU)
    return compose(config, requests or Requests(), limits, IDS, CPU)


def left(constraints: Constraints, *written: list[int]) -> list[set[int]]:
    """Per sentence the ids allowed after what it has written, one row each."""
    position = len(written[0]) + 1
    for labels in zip(*written, strict=True):
        constraints = constraints.advance(
            torch.tensor(labels)[:, None], torch.zeros((len(labels), 1), dtype=torch.int64)
        )
    log_probs = torch.zeros(len(written), 1, 6)
    assert constraints.constrain(log_probs, position) is log_probs
    return [set(row.isfinite().nonzero()[:, 0].tolist()) for row in log_probs[:, 0]]


def test_what_is_off_is_not_there() -> None:
    nothing = composed(2, Requests([[], []], [[], []], [None, None], []))
    assert nothing.parts == ()
    assert nothing.required is nothing.prefix is nothing.repetition is nothing.written is None
    assert nothing.advance(torch.tensor([[A], [B]])) is nothing


@pytest.mark.parametrize(
    ("size", "written", "allowed"),
    [
        (1, [], ALL),
        (1, [A, B], {IDS.eos, C}),
        (2, [A, A], ALL - {A}),  # a a again
        (2, [A, B, A], ALL - {B}),
        (3, [A, B, C, A], ALL),
        (3, [A, B, C, A, B], ALL - {C}),
        (3, [A, A, A], ALL - {A}),
    ],
)
def test_no_ngram_is_written_twice(size: int, written: list[int], allowed: set[int]) -> None:
    assert left(composed(no_repeat_ngram=size), written) == [allowed]


def test_banned_tokens_and_phrases() -> None:
    banned = composed(requests=Requests(banned=[[C], [A, B], [B, B, A]]))
    assert left(banned, []) == [ALL - {C}]
    assert left(banned, [A]) == [ALL - {C, B}]
    assert left(banned, [B, B]) == [ALL - {C, A}]
    assert left(banned, [B, A]) == [ALL - {C, B}]


def test_only_what_the_trie_holds_is_allowed() -> None:
    outputs = trie([(A, B), (A, B, C), (C,)])
    assert outputs.accepts((A, B)) and not outputs.accepts((A,))
    found = composed(3, Requests(allowed=[outputs, None, outputs]))
    assert left(found, [], [], []) == [{A, C}, ALL, {A, C}]
    assert left(found, [A, B], [A, B], [C, C]) == [{IDS.eos, C}, ALL, set()]
    assert left(found, [A, B, C], [A, B, C], [C, A, A]) == [{IDS.eos}, ALL, set()]


def test_an_automaton_may_go_round() -> None:
    """(a b)*, and after it c or nothing."""
    loop = Automaton({(0, A): 1, (1, B): 0, (0, C): 2}, frozenset({0, 2}))
    one = composed(1, Requests(allowed=[loop]))
    assert left(one, []) == [{IDS.eos, A, C}]
    assert left(one, [A, B, A]) == [{B}]
    assert left(one, [A, B, C]) == [{IDS.eos}]
    empty_only = composed(1, Requests(allowed=[trie([()])]))
    assert left(empty_only, []) == [{IDS.eos}]


def test_a_prefix_comes_before_everything_else_and_counts_as_written() -> None:
    requests = Requests(prefixes=[[C, C], []], banned=[[C]], allowed=[trie([(C, C, A), (C, C, C)]), None])
    found = composed(2, requests, no_repeat_ngram=1)
    assert left(found, [], []) == [{C}, ALL - {C}]
    assert left(found, [C], [A]) == [{C}, {IDS.eos, B}]
    assert left(found, [C, C], [A, B]) == [{A}, {IDS.eos}]


def test_eos_waits_for_what_is_required() -> None:
    found = composed(2, Requests(required=[[[A, A, B], [C]], []]))
    assert left(found, [A, A, B], [A, A, B]) == [ALL - {IDS.eos}, ALL]
    assert left(found, [A, A, B, C], [A, A, B, C]) == [ALL, ALL]


@pytest.mark.parametrize(
    ("written", "progress"),
    [([A], 1), ([A, A], 2), ([A, A, A], 2), ([A, A, B], 3), ([A, A, A, B], 3), ([A, B], 0), ([A, A, B, C], 3)],
)
def test_progress_is_that_of_knuth_morris_and_pratt(written: list[int], progress: int) -> None:
    found = required_phrases([[[A, A, B]]], IDS, CPU)
    assert found is not None
    for token in written:
        found = found.advance(torch.tensor([[token]]), None)
    assert found.progress.tolist() == [[[progress]]]


def test_repetition_multiplies_log_probabilities_of_what_was_written() -> None:
    """θ = 2: a was written (log ½ → log ¼), b and c were not; what is forbidden stays so."""
    found = composed(repetition_penalty=2.0).advance(torch.tensor([[A]]))
    log_probs = torch.full((1, 1, 6), math.log(0.5))
    compared = found.constrain(log_probs, 2)
    assert compared[0, 0, [A, B, C]].tolist() == pytest.approx([math.log(0.25), math.log(0.5), math.log(0.5)])
    assert log_probs[0, 0, A] == pytest.approx(math.log(0.5))  # the model's own
    assert compared[0, 0, IDS.pad] == -math.inf


REFUSED = [
    (Requests(prefixes=[[A]]), r"1 prefixes for 2 sentences. Give one entry per sentence"),
    (Requests(required=[[], [], []]), r"3 required for 2 sentences"),
    (Requests(prefixes=[[A], [IDS.eos]]), r"prefix of sentence 1 of the batch holds the id 2 \(eos\)"),
    (Requests(required=[[[A]], [[]]]), r"phrase required of sentence 1 of the batch is empty"),
    (Requests(banned=[[IDS.pad]]), r"phrase of decoding.banned holds the id 0 \(pad\). Give ids of words only"),
    (Requests(allowed=[trie([(IDS.bos,)]), None]), r"automaton of sentence 0 of the batch holds the id 1 \(bos\)"),
    (Requests(prefixes=[[], [A] * 10]), r"prefix of sentence 1 of the batch has 10 tokens.*room for 9.*max_length"),
    (Requests(prefixes=[[B], []], allowed=[trie([(A,)]), None]), r"prefix of sentence 0 .* begins no output its auto"),
    (Requests(allowed=[trie([]), None]), r"automaton allows no output at all"),
]


@pytest.mark.parametrize(("requests", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_what_cannot_be_asked_is_refused(requests: Requests, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        composed(2, requests)


def test_an_id_beyond_the_models_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"given the token id 6, but the model writes ids up to 5"):
        run(random_model(0, 6), [0], GreedyConfig(max_length=3), requests=Requests(banned=[[6]]))


def test_banned_words_need_ids() -> None:
    with pytest.raises(ConfigurationError, match=r"decoding.banned holds words.*Pass Requests\(banned=…\)"):
        run(random_model(0, 6), [0], GreedyConfig(max_length=3, banned=["x"]))


def test_groups_cannot_share_a_beam_twice() -> None:
    with pytest.raises(ConfigurationError, match=r"decoding=diverse_beam shares its beam among groups"):
        run(random_model(0, 6), [0], DiverseBeamConfig(max_length=3), requests=Requests(required=[[[A]]]))
