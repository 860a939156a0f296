"""Laws of constrained search, over tables of transition probabilities in float64, for every listed strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from seq2seq_lightning.decoding import (
    SEARCHES,
    Automaton,
    BeamConfig,
    DecodingConfig,
    DiverseBeamConfig,
    GreedyConfig,
    Hypothesis,
    LengthPenalty,
    Requests,
    StopRule,
    trie,
)
from seq2seq_lightning.decoding.scoring import LengthCount, Scorer
from seq2seq_lightning.errors import ConfigurationError
from tests.decoding.table_model import (
    IDS,
    Answer,
    Asked,
    Code,
    Sentences,
    TableModel,
    best_by_loop,
    contains,
    every_output,
    random_model,
    rescored,
    run,
    score_by_hand,
)

CASES = settings(deadline=None, max_examples=60, derandomize=True)
VOCAB, WORDS = 6, (3, 4, 5)
LENGTH = 3  # of every source, unless said
seeds = st.integers(0, 2**16)
phrases = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple)
CYCLE = Automaton({(0, 3): 1, (1, 4): 0, (1, 5): 1}, frozenset({0, 1}))  # (3 5* 4)* and what begins so


@st.composite
def automata(draw: st.DrawFn) -> Automaton:
    outputs = st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(tuple), min_size=1, max_size=8)
    return draw(st.one_of(outputs.map(trie), st.just(CYCLE)))


@st.composite
def asked_of_one(draw: st.DrawFn, with_required: bool = True) -> Asked:
    """Most often one kind of constraint, sometimes several."""
    kinds = draw(st.sets(st.sampled_from(["prefix", "required", "allowed", "banned"]), max_size=2))
    prefix = draw(phrases) if "prefix" in kinds else ()
    allowed = draw(automata()) if "allowed" in kinds else None
    assume(allowed is None or allowed.after(prefix) is not None)
    needs = draw(st.lists(phrases, min_size=1, max_size=2)) if "required" in kinds and with_required else []
    banned = draw(st.lists(phrases, min_size=1, max_size=3)) if "banned" in kinds else []
    return Asked(prefix, tuple(needs), allowed, tuple(banned))


@st.composite
def constrained(draw: st.DrawFn, config: DecodingConfig, shortest_maximum: int = 1) -> DecodingConfig:
    """The settings with constraints that belong to them."""
    longest = draw(st.integers(shortest_maximum, 5))
    return replace(
        config,
        max_length=longest,
        min_length=draw(st.integers(0, 2).filter(lambda least: least <= longest)),
        no_repeat_ngram=draw(st.sampled_from([0, 0, 1, 2, 3])),
        repetition_penalty=draw(st.sampled_from([1.0, 1.0, 1.6])),
    )


@st.composite
def wide_beams(draw: st.DrawFn) -> BeamConfig:
    penalty, alpha = draw(st.sampled_from([(LengthPenalty.none, None), (LengthPenalty.average, 1.0)]))
    config = BeamConfig(
        beam_width=400,  # every continuation of five labels fits: 4 · 3⁴
        n_best=4,
        length_penalty=penalty,
        alpha=alpha,
        beta=draw(st.sampled_from([0.0, 0.3])),
        word_reward=draw(st.sampled_from([0.0, 0.5])),
        stop=draw(st.sampled_from([StopRule.exact, StopRule.first_k])),
    )
    return draw(constrained(config, shortest_maximum=4))


@CASES
@given(seed=seeds, config=wide_beams(), asked=asked_of_one())
def test_a_wide_enough_beam_equals_enumeration(seed: int, config: BeamConfig, asked: Asked) -> None:
    model, longest = random_model(seed, VOCAB), config.max_length or 0
    shortest = max(config.min_length, 1)
    outputs = [each for each in every_output(VOCAB, shortest, longest) if asked.permits(each, config)]
    found = run(model, [seed], config, requests=Asked.of_batch([asked]))[0]
    if not outputs:
        assert not found[0].finished
        return
    scored = []
    for output in outputs:
        labels = [*output, IDS.eos]
        scored.append((score_by_hand(config, rescored(model, seed, LENGTH, labels), labels, True, asked), output))
    best = sorted(scored, reverse=True)[: config.n_best]
    assert [hypothesis.tokens for hypothesis in found] == [list(output) for _, output in best]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in best], abs=1e-9)


@CASES
@given(
    seed=seeds,
    config=constrained(BeamConfig(beam_width=3, n_best=2, length_penalty=LengthPenalty.average, alpha=1.0)),
    asked=asked_of_one(with_required=False),
    stop=st.sampled_from(StopRule),
)
def test_a_narrow_beam_follows_the_written_rule_and_exact_loses_nothing(
    seed: int, config: BeamConfig, asked: Asked, stop: StopRule
) -> None:
    config.stop = stop
    longest = config.max_length or 0
    assume(len(asked.prefix) <= longest)
    model = random_model(seed, VOCAB)
    expected = best_by_loop(model, seed, LENGTH, config, longest, None if stop is StopRule.exact else stop, asked)
    assume(expected)  # nothing is possible: what is then returned is said elsewhere
    found = run(model, [seed], config, requests=Asked.of_batch([asked]))[0]
    assert [(each.tokens, each.finished) for each in found] == [each[:2] for each in expected]
    assert [each.score for each in found] == pytest.approx([each[2] for each in expected], abs=1e-9)


def strategies() -> list[DecodingConfig]:
    """Every listed strategy, and beam search under penalties."""
    penalised = BeamConfig(beam_width=4, n_best=3, length_penalty=LengthPenalty.gnmt, alpha=0.6, beta=0.2)
    return [*(kind() for kind in SEARCHES), penalised]


BATCH = [
    Asked(),
    Asked(prefix=(3,)),
    Asked(prefix=(5, 5, 4)),
    Asked(allowed=trie([(3, 4), (5,), (4, 4, 5), (3, 5, 3, 5)])),
    Asked(allowed=CYCLE),
    Asked(prefix=(3, 5), allowed=CYCLE),
    Asked(prefix=(4,), allowed=trie([(4, 3), (4,)])),
]
NEEDS = [(), ((3,),), ((4, 5),), ((5,), (3, 3)), (), ((4,),), ()]


def batch_for(config: DecodingConfig, banned: Sequence[tuple[int, ...]] = ()) -> list[Asked]:
    """Three times seven sentences, each asked for something else; phrases are required where that is possible."""
    needs = NEEDS if config.serves_required() else [()] * len(NEEDS)
    one = [replace(asked, required=need, banned=tuple(banned)) for asked, need in zip(BATCH, needs, strict=True)]
    return one * 3


@pytest.mark.parametrize("config", strategies(), ids=lambda config: config.name)
@pytest.mark.parametrize("banned", [(), ((4, 5), (3, 3, 3))], ids=["free", "banned"])
def test_a_sentence_alone_equals_itself_in_any_batch_and_order(
    config: DecodingConfig, banned: tuple[tuple[int, ...], ...]
) -> None:
    config = replace(config, max_length=9, no_repeat_ngram=3, repetition_penalty=1.3)
    model, asked = random_model(4, VOCAB, sharpness=1.0), batch_for(config, banned)
    places = list(range(len(asked)))
    wanted = {"with_token_log_probs": True, "with_attention": True}
    alone = [run(model, [place], config, requests=Asked.of_batch([asked[place]]), **wanted)[0] for place in places]
    together = run(model, places, config, requests=Asked.of_batch(asked), **wanted)
    backwards = run(model, places[::-1], config, requests=Asked.of_batch(asked).of(places[::-1]), **wanted)[::-1]
    assert together == alone == backwards
    assert len({str(best[0].tokens) for best in alone}) > 6


@pytest.mark.parametrize("config", strategies(), ids=lambda config: config.name)
def test_every_output_keeps_the_constraints_and_every_score_its_formula(config: DecodingConfig) -> None:
    config = replace(config, max_length=8, no_repeat_ngram=2, repetition_penalty=1.5)
    model, asked = random_model(9, VOCAB, sharpness=1.0), batch_for(config, [(4, 5), (3, 3)])
    found = run(model, range(len(asked)), config, requests=Asked.of_batch(asked), with_token_log_probs=True)
    assert sum(best[0].finished for best in found) > 10
    for place, (best, one) in enumerate(zip(found, asked, strict=True)):
        for hypothesis in best:
            labels = labels_of(hypothesis)
            scored = rescored(model, place, LENGTH, labels)
            assert hypothesis.token_log_probs == pytest.approx(scored.log_probs, abs=1e-9)  # the model's own
            assert not hypothesis.finished or one.permits(hypothesis.tokens, config)
            assert all(one.may(labels[:at], label, config) for at, label in enumerate(labels))
            if hypothesis.score == -math.inf:
                continue
            assert hypothesis.log_prob == pytest.approx(math.fsum(scored.log_probs), abs=1e-9)
            expected = score_by_hand(config, scored, labels, hypothesis.finished, one)
            if config.name == "sample":  # drawn with the penalty, not compared by it
                expected = hypothesis.log_prob
            if config.name != "mbr":  # whose scores are of another kind
                assert hypothesis.score == pytest.approx(expected, abs=1e-9)


def labels_of(hypothesis: Hypothesis) -> list[int]:
    return [*hypothesis.tokens, IDS.eos] if hypothesis.finished else hypothesis.tokens


class After(TableModel):
    """The model behind a prefix: `bos`, which is never written, stands for its last token."""

    last: torch.Tensor

    def step(self, tokens: torch.Tensor, state: Code, memory: Sentences) -> Answer:
        return super().step(torch.where(tokens == IDS.bos, self.last, tokens), state, memory)


NOISY = ("sample", "mbr")  # noise belongs to its position
WITHOUT_NOISE = [config for config in strategies() if config.name not in NOISY]


@pytest.mark.parametrize("config", WITHOUT_NOISE, ids=lambda config: config.name)
@pytest.mark.parametrize("prefix", [(3,), (5, 4, 4)])
def test_a_forced_prefix_equals_conditioning(config: DecodingConfig, prefix: tuple[int, ...]) -> None:
    if isinstance(config, BeamConfig):
        config = replace(config, length_penalty=LengthPenalty.none, alpha=None, beta=0.0)
    model, longest = random_model(21, VOCAB, sharpness=1.0), 7
    asked = [Asked(prefix)] * 6
    found = run(model, range(6), replace(config, max_length=longest), requests=Asked.of_batch(asked))
    conditioned = After(model.table, model.weights)
    conditioned.last = torch.tensor(prefix[-1])
    conditioned.start = lambda *wanted: (Code(model_code(model, prefix, 6)), *model.start(*wanted)[1:])  # type: ignore[method-assign]
    behind = run(conditioned, range(6), replace(config, max_length=longest - len(prefix)))
    for place, (best, rest) in enumerate(zip(found, behind, strict=True)):
        before = math.fsum(rescored(model, place, LENGTH, prefix).log_probs)
        assert [each.tokens for each in best] == [[*prefix, *each.tokens] for each in rest]
        assert [each.log_prob for each in best] == pytest.approx([each.log_prob + before for each in rest], abs=1e-9)


def model_code(model: TableModel, prefix: Sequence[int], sentences: int) -> torch.Tensor:
    """The state after `bos` and all of the prefix but its last token."""
    state, memory, _ = model.start(range(sentences), [LENGTH] * sentences)
    for token in [IDS.bos, *prefix[:-1]]:
        state = model.step(torch.full((sentences,), token), state, memory).state
    return state.code


@CASES
@given(seed=seeds, config=constrained(GreedyConfig()), asked=asked_of_one(with_required=False))
def test_beam_one_equals_greedy(seed: int, config: GreedyConfig, asked: Asked) -> None:
    assume(len(asked.prefix) <= (config.max_length or 0))
    shared = {name: getattr(config, name) for name in vars(config) if name != "name"}
    beam = BeamConfig(**shared, beam_width=1, stop=StopRule.first_k)
    model, requests = random_model(seed, VOCAB), Asked.of_batch([asked] * 3)
    for one, other in zip(
        run(model, range(3), beam, requests=requests), run(model, range(3), config, requests=requests), strict=True
    ):
        assert (one[0].tokens, one[0].finished) == (other[0].tokens, other[0].finished)
        assert one[0].log_prob == pytest.approx(other[0].log_prob, abs=1e-12)
        assert one[0].score == pytest.approx(other[0].score, abs=1e-12)


@CASES
@given(
    seed=seeds,
    config=constrained(BeamConfig(beam_width=4, n_best=3, beta=0.2)),
    asked=asked_of_one(with_required=False),
)
def test_one_group_equals_beam(seed: int, config: BeamConfig, asked: Asked) -> None:
    assume(len(asked.prefix) <= (config.max_length or 0))
    shared = {name: getattr(config, name) for name in vars(config) if name != "name"}
    diverse = DiverseBeamConfig(**shared, groups=1, diversity=2.0)
    model, requests = random_model(seed, VOCAB), Asked.of_batch([asked] * 3)
    assert run(model, range(3), diverse, requests=requests) == run(model, range(3), config, requests=requests)


@st.composite
def grouped(draw: st.DrawFn) -> BeamConfig:
    """Beams whose hypotheses are not in the order of their totals: those of groups, and those that are shared."""
    reward = draw(st.sampled_from([0.0, 0.8]))
    penalty, alpha = draw(st.sampled_from([(LengthPenalty.average, 1.0), (LengthPenalty.gnmt, 0.6)]))
    counts = draw(st.sampled_from(LengthCount))
    shared = BeamConfig(length_penalty=penalty, alpha=alpha, word_reward=reward, length_counts=counts, max_length=8)
    shared.stop, shared.repetition_penalty = StopRule.exact, draw(st.sampled_from([1.0, 2.0]))
    if draw(st.booleans()):
        return replace(shared, beam_width=draw(st.integers(2, 5)))
    settings = {name: value for name, value in vars(shared).items() if name not in ("name", "beam_width")}
    return DiverseBeamConfig(**settings, beam_width=6, groups=2, diversity=draw(st.sampled_from([0.5, 4.0])))


APART = DiverseBeamConfig(
    beam_width=6, groups=2, diversity=1.0, length_penalty=LengthPenalty.average, alpha=1.0, stop=StopRule.exact
)


@CASES
@example(15, replace(APART, max_length=8), [], 1.0)  # the best live hypothesis by score is not the one compared best
@given(seed=seeds, config=grouped(), required=st.lists(phrases, max_size=2), sharpness=st.sampled_from([0.5, 2.0]))
def test_exact_returns_what_never_stopping_returns(
    seed: int, config: BeamConfig, required: list[tuple[int, ...]], sharpness: float
) -> None:
    model = random_model(seed, VOCAB, sharpness=sharpness)
    asked = Asked.of_batch([Asked(required=tuple(required) if config.serves_required() else ())])
    stopped = run(model, [seed], config, requests=asked)
    with mock.patch.object(Scorer, "bound", lambda scorer, totals, maximum: torch.full_like(totals, torch.inf)):
        assert run(model, [seed], config, requests=asked) == stopped


ON = {
    "no_repeat_ngram": (3, {}, {"no_repeat_ngram": 1}),
    "repetition_penalty": (3, {}, {"repetition_penalty": 3.0}),
    "eos_at_maximum": (3, {}, {"eos_at_maximum": True}),
    "prefix": (3, {"prefix": (5, 5)}, {}),
    "banned": (3, {"banned": ((3,), (4, 4))}, {}),
    "allowed": (3, {"allowed": trie([(5, 5), (4,)])}, {}),
    "required": (3, {"required": ((5, 3),)}, {}),
}


@pytest.mark.parametrize("config", strategies(), ids=lambda config: config.name)
@pytest.mark.parametrize("name", ON)
def test_a_constraint_that_is_on_differs_from_one_that_is_off(config: DecodingConfig, name: str) -> None:
    seed, wanted, options = ON[name]
    config = replace(config, max_length=7)
    if name == "required" and not config.serves_required():
        with pytest.raises(ConfigurationError, match=f"need a beam.*decoding={config.name}.*Choose decoding=beam"):
            run(random_model(seed, VOCAB), [0], config, requests=Asked.of_batch([Asked(**wanted)]))
        return
    if isinstance(config, BeamConfig) and name == "eos_at_maximum":  # a wide beam meets an eos anyway
        config = replace(config, beam_width=2, n_best=1, **{"groups": 2} if hasattr(config, "groups") else {})
    model = random_model(seed, VOCAB, sharpness=1.0)
    model.table[:, IDS.eos] -= 5.0 if name == "eos_at_maximum" else 1.0
    off = run(model, range(12), config)
    on = run(model, range(12), replace(config, **options), requests=Asked.of_batch([Asked(**wanted)] * 12))
    assert [(best[0].tokens, best[0].finished) for best in on] != [(best[0].tokens, best[0].finished) for best in off]
    nothing = Requests([()] * 12, None if not config.serves_required() else [()] * 12, [None] * 12, [])
    assert run(model, range(12), config, requests=nothing) == off


def test_a_beam_of_four_contains_what_the_model_would_not_write() -> None:
    """Token 5 has one chance in a thousand anywhere: a plain beam of four never holds it long enough to end with it."""
    model = random_model(5, VOCAB, sharpness=0.5)
    model.table[:, 5] -= 7.0
    config = BeamConfig(beam_width=4, max_length=8, eos_at_maximum=True)
    needed = ((5, 3, 5),)
    plain = run(model, range(8), config)
    assert not any(contains(best[0].tokens, needed[0]) for best in plain)
    found = run(model, range(8), config, requests=Asked.of_batch([Asked(required=needed)] * 8))
    assert all(best[0].finished and contains(best[0].tokens, needed[0]) for best in found)


def test_groups_differ_the_more_the_stronger_the_diversity() -> None:
    model = random_model(6, 40, sharpness=1.0)
    first = {}
    for diversity in (0.0, 5.0):
        config = DiverseBeamConfig(beam_width=6, groups=3, n_best=6, diversity=diversity, max_length=6)
        found = run(model, range(10), config)
        first[diversity] = sum(len({each.tokens[0] for each in best if each.tokens}) for best in found)
        assert all(len({tuple(each.tokens) for each in best}) == len(best) for best in found)
    assert first[5.0] > 1.5 * first[0.0]
