"""Small truths of search, worked by hand, and what it refuses."""

from __future__ import annotations

import math
import weakref

import pytest
import torch

from seq2seq_lightning.decoding import (
    BeamConfig,
    DecodingConfig,
    DiverseBeamConfig,
    GreedyConfig,
    LengthPenalty,
    NotANumberError,
    StopRule,
    search,
)
from seq2seq_lightning.decoding.scoring import LengthCount
from seq2seq_lightning.decoding.task import device_of
from seq2seq_lightning.errors import ConfigurationError
from tests.decoding.table_model import IDS, Answer, Code, TableModel, random_model, run

A, B = 3, 4


@pytest.fixture(params=["greedy", "beam"])
def config(request: pytest.FixtureRequest) -> DecodingConfig:
    return GreedyConfig(max_length=6) if request.param == "greedy" else BeamConfig(beam_width=3, max_length=6)


class Bigrams(TableModel):
    """Next-token probabilities by the token fed: the beams can be read off the table."""

    def step(self, tokens, state, memory):  # type: ignore[no-untyped-def]
        self.sentences_asked.append(len(memory.seeds))
        return Answer(self.table[tokens], None, Code(tokens))


def bigrams(rows: dict[int, dict[int, float]]) -> Bigrams:
    table = torch.zeros(5, 5, dtype=torch.float64)
    for fed, followers in rows.items():
        for token, probability in followers.items():
            table[fed, token] = probability
    return Bigrams(table.log())


# bos → a 0.6, b 0.4; a → eos 0.3, b 0.35, a 0.35; b → eos 0.9, a 0.1
GARDEN_PATH = {IDS.bos: {A: 0.6, B: 0.4}, A: {IDS.eos: 0.3, B: 0.35, A: 0.35}, B: {IDS.eos: 0.9, A: 0.1}}


def test_greedy_follows_the_garden_path_and_the_beam_does_not() -> None:
    model = bigrams(GARDEN_PATH)
    greedy = run(model, [0], GreedyConfig(max_length=3))[0][0]
    assert greedy.tokens == [A, A, A] and not greedy.finished  # a 0.6, then a before b on equal 0.35, and again
    assert greedy.log_prob == pytest.approx(math.log(0.6 * 0.35 * 0.35))
    best = run(model, [0], BeamConfig(beam_width=2, n_best=2, max_length=3))[0]
    assert [hypothesis.tokens for hypothesis in best] == [[B], [A, B]]  # 0.4 · 0.9 = 0.36; 0.6 · 0.35 · 0.9 = 0.189
    assert [math.exp(hypothesis.score) for hypothesis in best] == pytest.approx([0.36, 0.189])


def test_average_prefers_what_is_better_per_label() -> None:
    """[b] ln 0.36 / 2 = -0.511 beats [a, b] ln 0.189 / 3 = -0.555; after α = 2: -0.255 against -0.185."""
    model = bigrams(GARDEN_PATH)
    for alpha, first, score in [(1.0, [B], math.log(0.36) / 2), (2.0, [A, B], math.log(0.189) / 9)]:
        config = BeamConfig(
            beam_width=8, length_penalty=LengthPenalty.average, alpha=alpha, max_length=3, stop=StopRule.exact
        )
        best = run(model, [0], config)[0][0]
        assert best.tokens == first
        assert best.score == pytest.approx(score)
        assert best.log_prob == pytest.approx(score * (len(first) + 1) ** alpha)


def test_greedy_stops_at_eos_and_says_so() -> None:
    model = bigrams({IDS.bos: {A: 1.0}, A: {B: 1.0}, B: {IDS.eos: 1.0}})
    best = run(model, [0, 0], GreedyConfig(max_length=50))
    assert [(each[0].tokens, each[0].finished) for each in best] == [([A, B], True)] * 2
    assert len(model.sentences_asked) == 3


def test_max_length_one_and_the_empty_output(config: DecodingConfig) -> None:
    ends, goes = bigrams({IDS.bos: {IDS.eos: 0.6, A: 0.4}}), bigrams({IDS.bos: {A: 1.0}})
    config.max_length = 1
    assert (run(ends, [0], config)[0][0].tokens, run(ends, [0], config)[0][0].finished) == ([], True)
    assert (run(goes, [0], config)[0][0].tokens, run(goes, [0], config)[0][0].finished) == ([A], False)


def test_unfinished_hypotheses_rank_only_when_nothing_finished(config: DecodingConfig) -> None:
    never = run(bigrams({IDS.bos: {A: 1.0}, A: {A: 0.7, B: 0.3}, B: {A: 1.0}}), [0], config)[0]
    assert not never[0].finished and never[0].tokens == [A] * 6
    assert never[0].log_prob == pytest.approx(5 * math.log(0.7))


def test_one_unlikely_finished_hypothesis_displaces_all_unfinished_ones() -> None:
    model = bigrams({IDS.bos: {A: 0.999, IDS.eos: 0.001}, A: {A: 1.0}})
    best = run(model, [0], BeamConfig(beam_width=3, n_best=3, max_length=4, stop=StopRule.first_k))[0]
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in best] == [([], True)]


def test_a_group_that_finished_displaces_what_another_could_not_finish() -> None:
    """The first group takes a and ends; the second, kept away from a, takes b, which never ends."""
    model = bigrams({IDS.bos: {A: 0.6, B: 0.4}, A: {IDS.eos: 1.0}, B: {B: 1.0}})
    apart = DiverseBeamConfig(beam_width=2, n_best=2, groups=2, diversity=50.0, max_length=3)
    assert [(each.tokens, each.finished) for each in run(model, [0], apart)[0]] == [([A], True)]
    model = bigrams({IDS.bos: {A: 0.6, B: 0.4}, A: {A: 1.0}, B: {B: 1.0}})
    assert [each.tokens for each in run(model, [0], apart)[0]] == [[A, A, A], [B, B, B]]  # scores without diversity
    assert run(model, [0], apart)[0][1].score == pytest.approx(math.log(0.4))


def test_the_bound_counts_as_the_score_does() -> None:
    """Counted with bos, a of 2 labels scores ln 0.5 / 3 = -0.231, b of 9 labels ln 0.1 / 10 = -0.230: the bound of b at
    position 2 must be divided by 10; by 9, -0.256, it would end the search before b can finish."""
    rows = {IDS.bos: {A: 0.5, B: 0.1}, A: {IDS.eos: 1.0}, B: {B: 1.0}}
    config = BeamConfig(
        beam_width=2,
        length_penalty=LengthPenalty.average,
        alpha=1.0,
        length_counts=LengthCount.with_bos,
        stop=StopRule.exact,
        max_length=9,
        eos_at_maximum=True,
    )
    model = bigrams(rows)
    model.table[B, IDS.eos] = -1e-9  # so that b can end at the maximum
    best = run(model, [0], config)[0][0]
    assert (best.tokens, len(model.sentences_asked)) == ([B] * 8, 9)
    assert best.score == pytest.approx(math.log(0.1) / 10)


def test_a_dead_end_gives_the_prefix_unfinished_and_no_special_token(config: DecodingConfig) -> None:
    """After a the model allows nothing but pad: the output is a, with probability zero."""
    dead = bigrams({IDS.bos: {A: 1.0}, A: {IDS.pad: 1.0}})
    best = run(dead, [0, 1], config)
    for hypotheses in best:
        assert len(hypotheses) == 1
        assert hypotheses[0].tokens == [A] and not hypotheses[0].finished
        assert hypotheses[0].log_prob == hypotheses[0].score == -math.inf
    if isinstance(config, GreedyConfig):
        assert len(dead.sentences_asked) == 2


def test_the_search_ends_when_no_live_hypothesis_is_left() -> None:
    model = bigrams({IDS.bos: {A: 0.5, IDS.eos: 0.5}, A: {IDS.eos: 1.0}})
    best = run(model, [0], BeamConfig(beam_width=5, n_best=5, max_length=60, stop=StopRule.first_k))[0]
    assert [hypothesis.tokens for hypothesis in best] == [[], [A]]  # both 0.5: the one that finished first
    assert len(model.sentences_asked) == 2


def test_a_beam_wider_than_the_vocabulary() -> None:
    model = random_model(7, 5)
    wide = run(model, [0, 1], BeamConfig(beam_width=100, n_best=10, max_length=4))
    assert [len(best) for best in wide] == [10, 10]
    assert wide[0][0].score >= run(model, [0], BeamConfig(beam_width=2, max_length=4))[0][0].score


def test_min_length_on_differs_from_off(config: DecodingConfig) -> None:
    model = bigrams({IDS.bos: {IDS.eos: 0.9, A: 0.1}, A: {IDS.eos: 0.9, A: 0.1}})
    assert run(model, [0], config)[0][0].tokens == []
    config.min_length = 4
    assert run(model, [0], config)[0][0].tokens == [A, A, A]


def test_forced_lengths_override_the_limits_sentence_by_sentence(config: DecodingConfig) -> None:
    model = bigrams({IDS.bos: {IDS.eos: 0.9, A: 0.1}, A: {IDS.eos: 0.2, A: 0.8}})
    best = run(model, [0, 0, 0], config, forced_lengths=[1, None, 9])
    assert [hypotheses[0].tokens for hypotheses in best] == [[], [], [A] * 8]
    assert best[2][0].finished
    assert best[2][0].log_prob == pytest.approx(math.log(0.1 * 0.8**7 * 0.2))  # the model's own, not renormalised
    as_tensor = run(model, [0, 0], config, forced_lengths=torch.tensor([3, 2]))
    assert [hypotheses[0].tokens for hypotheses in as_tensor] == [[A, A], [A]]


def test_a_model_without_eos_ends_at_its_forced_length(config: DecodingConfig) -> None:
    model = bigrams({IDS.bos: {IDS.eos: 0.9, A: 0.1}, A: {IDS.eos: 0.9, B: 0.1}, B: {IDS.eos: 0.9, A: 0.1}})
    best = run(model, [0, 0], config, forced_lengths=[3, 5], with_eos=False)
    assert [hypotheses[0].tokens for hypotheses in best] == [[A, B, A], [A, B, A, B, A]]


def test_nan_names_the_sentences(config: DecodingConfig) -> None:
    class Broken(TableModel):
        def step(self, tokens, state, memory):  # type: ignore[no-untyped-def]
            answer = super().step(tokens, state, memory)
            width = len(tokens) // len(memory.seeds)
            answer.log_probs[(memory.seeds >= 70).repeat_interleave(width)] = torch.nan
            return answer

    with pytest.raises(NotANumberError, match=r"for 2 sentences of the batch \(place 1, 3, from 0\)") as error:
        run(Broken(random_model(0, 5).table), [1, 70, 2, 71], config)
    assert error.value.sentences == [1, 3]
    assert "earlier checkpoint" in str(error.value)


def test_one_nan_among_numbers_is_noticed_too(config: DecodingConfig) -> None:
    table = random_model(0, 5).table
    table[:, IDS.eos] = torch.nan
    with pytest.raises(NotANumberError):
        run(TableModel(table), [0], config)


def test_coverage_needs_attention() -> None:
    with pytest.raises(ConfigurationError, match=r"decoding.beta=0.2 needs attention weights.*decoding.beta=0 or"):
        run(TableModel(random_model(0, 5).table), [0], BeamConfig(beta=0.2, max_length=3))


def test_details_come_on_request_only() -> None:
    model = random_model(0, 5)
    plain = run(model, [0], BeamConfig(max_length=4))[0][0]
    assert plain.token_log_probs is None and plain.attention is None
    without = run(TableModel(model.table), [0], BeamConfig(max_length=4), with_attention=True)[0][0]
    assert without.attention is None


def test_attention_covers_labels_by_source_positions() -> None:
    best = run(
        random_model(0, 5), [0, 1], GreedyConfig(max_length=8), lengths=[2, 5], with_attention=True, source_time=6
    )
    for (hypothesis,), length in zip(best, [2, 5], strict=True):
        assert hypothesis.attention is not None
        assert len(hypothesis.attention) == len(hypothesis.tokens) + hypothesis.finished
        assert {len(row) for row in hypothesis.attention} == {length}
        assert [sum(row) for row in hypothesis.attention] == pytest.approx([1.0] * len(hypothesis.attention))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_totals_are_at_least_float32(dtype: torch.dtype) -> None:
    """300 steps of ln 0.9 in bfloat16 would stall at -16; in float32 they add up."""
    table = torch.full((5, 5), -torch.inf)
    table[:, A] = math.log(0.9)
    for config in (GreedyConfig(max_length=300), BeamConfig(beam_width=2, max_length=300)):
        best = run(Bigrams(table.to(dtype)), [0], config)[0][0]
        step = float(torch.tensor(math.log(0.9), dtype=dtype))
        assert best.log_prob == pytest.approx(300 * step, rel=1e-4)


def test_the_default_maximum_grows_with_the_source() -> None:
    model = bigrams({IDS.bos: {A: 1.0}, A: {A: 1.0}})
    best = run(model, [0, 0], GreedyConfig(), lengths=[1, 9])
    assert [len(hypotheses[0].tokens) for hypotheses in best] == [52, 68]


def test_an_empty_batch_gives_nothing() -> None:
    assert search(random_model(0, 5), None, None, torch.tensor([], dtype=torch.int64), GreedyConfig(), IDS) == []


def test_the_device_is_found_inside_the_state() -> None:
    assert device_of({"layers": ({"hidden": torch.zeros(1, device="meta")},)}) == torch.device("meta")
    assert device_of(Code(torch.zeros(2))) == torch.device("cpu")
    assert device_of(3) is None


def test_nothing_of_the_size_of_the_vocabulary_is_kept(config: DecodingConfig) -> None:
    """A step's log-probabilities must be free before the next step is asked."""

    class Watched(TableModel):
        last: weakref.ref | None = None
        alive = 0

        def step(self, tokens, state, memory):  # type: ignore[no-untyped-def]
            self.alive += self.last is not None and self.last() is not None
            answer = super().step(tokens, state, memory)
            self.last = weakref.ref(answer.log_probs)
            return answer

    model = Watched(random_model(0, 5).table)
    config.min_length = 6
    run(model, [0, 1], config, with_token_log_probs=True)
    assert model.alive == 0 and len(model.rows_asked) == 6
