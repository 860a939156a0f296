"""Laws of search, over tables of transition probabilities in float64: oracles are enumeration and a plain loop."""

from __future__ import annotations

import math
from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seq2seq_lightning.decoding import (
    SEARCHES,
    BeamConfig,
    DecodingConfig,
    GreedyConfig,
    Hypothesis,
    LengthPenalty,
    SpecialIds,
    StopRule,
    loop,
)
from seq2seq_lightning.decoding.scoring import Finishing, LengthCount, Unfinished
from tests.decoding.table_model import (
    IDS,
    TableModel,
    best_by_loop,
    every_output,
    random_model,
    rescored,
    run,
    score_by_hand,
)

PENALTIES = [(LengthPenalty.none, None), (LengthPenalty.average, 1.0), (LengthPenalty.average, 0.4)]
PENALTIES += [(LengthPenalty.gnmt, 0.6), (LengthPenalty.gnmt, 2.0)]
CASES = settings(deadline=None, max_examples=50, derandomize=True)

seeds = st.integers(0, 2**16)
penalties = st.sampled_from(PENALTIES)
vocabularies = st.integers(4, 6)


@st.composite
def beam_configs(draw: st.DrawFn, stop: StopRule | None = None, widest: int = 6) -> BeamConfig:
    width = draw(st.integers(1, widest))
    penalty, alpha = draw(penalties)
    longest, reward = draw(st.integers(1, 5)), draw(st.sampled_from([0.0, 0.7]))
    counts = draw(st.sampled_from(LengthCount)) if alpha or reward else LengthCount.labels
    forced = draw(st.booleans())
    return BeamConfig(
        beam_width=width,
        n_best=draw(st.integers(1, width)),
        length_penalty=penalty,
        alpha=alpha,
        beta=draw(st.sampled_from([0.0, 0.3])),
        word_reward=reward,
        length_counts=counts,
        stop=stop or draw(st.sampled_from(StopRule)),
        finishing=draw(st.sampled_from(Finishing)),
        unfinished=Unfinished.fallback if forced else draw(st.sampled_from(Unfinished)),
        eos_at_maximum=forced,
        max_length=longest,
        min_length=draw(st.integers(0, longest)),
    )


def searches() -> list[DecodingConfig]:
    """Every listed strategy, and beam search in several settings."""
    settings_of_beam = [
        BeamConfig(beam_width=4, n_best=3, length_penalty=penalty, alpha=alpha, beta=beta, stop=stop, max_length=9)
        for (penalty, alpha), beta, stop in [
            (PENALTIES[0], 0.0, None),
            (PENALTIES[1], 0.0, StopRule.exact),
            (PENALTIES[3], 0.2, StopRule.first_k),
        ]
    ]
    other = replace(settings_of_beam[1], stop=StopRule.top, alpha=1.5, n_best=1)
    other = replace(other, finishing=Finishing.in_place, unfinished=Unfinished.compete)
    return [kind(max_length=9) for kind in SEARCHES] + settings_of_beam + [other]


def greedy_like(config: DecodingConfig) -> GreedyConfig:
    """Greedy search under the same limits."""
    return GreedyConfig(
        max_length=config.max_length, min_length=config.min_length, eos_at_maximum=config.eos_at_maximum
    )


def labels_of(hypothesis: Hypothesis, ids: SpecialIds = IDS) -> list[int]:
    return [*hypothesis.tokens, ids.eos] if hypothesis.finished else hypothesis.tokens


@CASES
@given(
    seed=seeds,
    vocab=vocabularies,
    penalty=penalties,
    beta=st.sampled_from([0.0, 0.3]),
    longest=st.integers(1, 5),
    shortest=st.integers(0, 5),
    forced=st.booleans(),
    stop=st.sampled_from(StopRule),
)
def test_a_wide_enough_beam_equals_enumeration(
    seed: int,
    vocab: int,
    penalty: tuple[LengthPenalty, float | None],
    beta: float,
    longest: int,
    shortest: int,
    forced: bool,
    stop: StopRule,
) -> None:
    assume(shortest <= longest and (vocab < 6 or longest < 5))
    model = random_model(seed, vocab)
    outputs = list(every_output(vocab, longest if forced else shortest, longest))
    n_best = min(4, len(outputs))
    config = BeamConfig(
        beam_width=max(len(outputs), (vocab - 3) ** (longest - 1) * (vocab - 2)),  # every continuation fits
        n_best=n_best,
        length_penalty=penalty[0],
        alpha=penalty[1],
        beta=beta,
        stop=stop,
        max_length=5 if forced else longest,
        min_length=0 if forced else shortest,
    )
    found = run(model, [seed], config, forced_lengths=[longest] if forced else None)[0]
    ended = [[*output, IDS.eos] for output in outputs]
    scores = [score_by_hand(config, rescored(model, seed, 3, labels), labels, finished=True) for labels in ended]
    scored = list(zip(scores, outputs, strict=True))
    best = sorted(scored, reverse=True)[:n_best]
    assert [hypothesis.tokens for hypothesis in found] == [list(output) for _, output in best]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in best], abs=1e-9)
    assert all(hypothesis.finished for hypothesis in found)


@CASES
@given(
    seed=seeds, vocab=vocabularies, config=beam_configs(stop=StopRule.exact), sharpness=st.sampled_from([0.5, 2.0, 5.0])
)
def test_exact_returns_what_searching_to_the_end_returns(
    seed: int, vocab: int, config: BeamConfig, sharpness: float
) -> None:
    model = random_model(seed, vocab, sharpness=sharpness)
    assert_same(run(model, [seed], config)[0], best_by_loop(model, seed, 3, config, config.max_length or 0))


def test_exact_stops_early_and_without_penalty_at_once() -> None:
    table = torch.full((4096, 5), -50.0, dtype=torch.float64)
    table[:, IDS.eos] = math.log(0.9)
    table[:, 3] = math.log(0.1)
    model = TableModel(table)
    run(model, [1], BeamConfig(beam_width=2, max_length=40))
    assert len(model.rows_asked) == 1


@CASES
@given(
    seed=seeds,
    vocab=vocabularies,
    config=beam_configs(),
    quantum=st.sampled_from([None, 0.5, 4.0]),
    stop=st.sampled_from([StopRule.first_k, StopRule.top]),
)
def test_first_k_top_and_ties_follow_the_written_rule(
    seed: int, vocab: int, config: BeamConfig, quantum: float | None, stop: StopRule
) -> None:
    assume(quantum is None or config.beta == 0)  # summed weights round differently in the loop: no exact ties
    config.stop = stop
    model = random_model(seed, vocab, quantum=quantum)
    expected = best_by_loop(model, seed, 3, config, config.max_length or 0, stop)
    assert_same(run(model, [seed], config)[0], expected)


def assert_same(found: list[Hypothesis], expected: list[tuple[list[int], bool, float]]) -> None:
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in found] == [each[:2] for each in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([each[2] for each in expected], abs=1e-9)


@CASES
@given(seed=seeds, vocab=vocabularies, config=beam_configs())
def test_every_score_equals_independent_rescoring(seed: int, vocab: int, config: BeamConfig) -> None:
    model = random_model(seed, vocab)
    lengths = [1, 4, 6]
    places = [seed, seed + 1, seed + 2]
    for plan in (config, greedy_like(config)):
        found = run(model, places, plan, lengths=lengths, with_token_log_probs=True, with_attention=True)
        for place, length, best in zip(places, lengths, found, strict=True):
            for hypothesis in best:
                scored = rescored(model, place, length, labels_of(hypothesis))
                assert hypothesis.token_log_probs == pytest.approx(scored.log_probs, abs=1e-9)
                assert hypothesis.log_prob == pytest.approx(math.fsum(scored.log_probs), abs=1e-9)
                score = score_by_hand(plan, scored, labels_of(hypothesis), hypothesis.finished)
                assert hypothesis.score == pytest.approx(score, abs=1e-9)
                assert hypothesis.attention is not None
                assert len(hypothesis.attention) == len(scored.attention)
                for row, expected in zip(hypothesis.attention, scored.attention, strict=True):
                    assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_a_sentence_alone_equals_itself_in_any_batch_order_and_padding(config: DecodingConfig) -> None:
    config.min_length = 3
    model = random_model(11, 6, sharpness=1.0)
    lengths = [1 + place % 5 for place in range(24)]
    wanted = {"with_attention": True, "with_token_log_probs": True}
    alone = [run(model, [place], config, lengths=[lengths[place]], **wanted)[0] for place in range(24)]
    assert len({str(best[0].tokens) for best in alone}) > 5  # the sentences differ
    together = run(model, list(range(24)), config, lengths=lengths, **wanted)
    padded = run(model, list(range(24)), config, lengths=lengths, source_time=6, **wanted)
    backwards = run(model, list(range(23, -1, -1)), config, lengths=lengths[::-1], **wanted)[::-1]
    assert together == padded == backwards == alone


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_a_sentence_that_reached_its_own_maximum_is_frozen(config: DecodingConfig) -> None:
    """Maxima of 2 to 13 labels in one batch, few outputs finished by then: nothing written later may count."""
    config.max_length, config.max_length_ratio, config.max_length_offset = None, 1.0, 1
    model = random_model(8, 12, source_time=12, sharpness=1.0)
    model.table[:, IDS.eos] -= 0.8
    lengths = [1 + place % 12 for place in range(36)]
    alone = [run(model, [place], config, lengths=[lengths[place]])[0] for place in range(36)]
    assert {each.finished for best in alone for each in best} == {True, False}
    with mock.patch.object(loop, "WORTH_LEAVING", 1):  # nobody leaves before the last is done
        together = run(model, list(range(36)), config, lengths=lengths)
    for best, other in zip(together, alone, strict=True):
        assert_same(best, [(each.tokens, each.finished, each.score) for each in other])


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_when_search_looks_changes_nothing_but_the_work(config: DecodingConfig) -> None:
    config.max_length = 30
    model = random_model(5, 6, sharpness=1.0)
    often = run(model, list(range(40)), config)
    work = sum(model.rows_asked)
    model.rows_asked.clear()
    with (
        mock.patch.object(loop, "steps_between_looks", return_value=7),
        mock.patch.object(loop, "WORTH_LEAVING", 1),
    ):
        rarely = run(model, list(range(40)), config)
    assert often == rarely
    assert sum(model.rows_asked) > work


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_finished_sentences_leave_the_batch(config: DecodingConfig) -> None:
    """Sentence n can only end at position n + 1: the batch must shrink, and every output be its own length."""
    lengths = [1 + 2 * place for place in range(16)]
    model = random_model(2, 5)
    config.max_length = 40
    found = run(model, list(range(16)), config, forced_lengths=lengths)
    assert [len(best[0].tokens) + 1 for best in found] == lengths
    assert all(best[0].finished for best in found)
    assert model.sentences_asked[0] == 16 and model.sentences_asked[-1] <= 2
    assert sum(model.sentences_asked) < 1.35 * sum(lengths)


@CASES
@given(seed=seeds, vocab=vocabularies, config=beam_configs(stop=StopRule.first_k, widest=1))
def test_beam_one_equals_greedy(seed: int, vocab: int, config: BeamConfig) -> None:
    config.beta, config.unfinished = 0.0, Unfinished.fallback  # what is cut would compete with what has finished
    model = random_model(seed, vocab)
    for one, other in zip(run(model, range(8), config), run(model, range(8), greedy_like(config)), strict=True):
        assert one[0].tokens == other[0].tokens
        assert one[0].finished == other[0].finished
        assert one[0].log_prob == pytest.approx(other[0].log_prob, abs=1e-12)


@CASES
@given(seed=seeds, vocab=vocabularies, config=beam_configs(), quantum=st.sampled_from([None, 1.0]))
def test_n_best_lists_are_sorted_distinct_and_clean(
    seed: int, vocab: int, config: BeamConfig, quantum: float | None
) -> None:
    config.n_best = config.beam_width
    for best in run(random_model(seed, vocab, quantum=quantum), range(5), config):
        scores = [hypothesis.score for hypothesis in best]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in best}) == len(best)
        assert len({hypothesis.finished for hypothesis in best}) == 1 or config.unfinished is Unfinished.compete
        for hypothesis in best:
            assert not {IDS.pad, IDS.bos, IDS.eos} & set(hypothesis.tokens)
            assert config.min_length <= len(labels_of(hypothesis)) <= (config.max_length or 0)


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_ties_are_deterministic_and_go_to_the_lowest_ids(config: DecodingConfig) -> None:
    """All tokens equally likely at every position: the first ids win, whatever the batch."""
    uniform = torch.full((4096, 6), -math.log(6), dtype=torch.float64)
    model = TableModel(uniform, torch.ones(4096, 3, dtype=torch.float64))
    ids = SpecialIds(pad=4, bos=5, eos=3)  # words 0 to 2 come before eos
    alone = run(model, [0], config, ids=ids)[0]
    together = run(model, list(range(9)), config, ids=ids, places=torch.zeros(9, dtype=torch.int64))
    assert all([hypothesis.tokens for hypothesis in best] == [each.tokens for each in alone] for best in together)
    if isinstance(config, GreedyConfig):
        assert alone[0].tokens == [0] * 9 and not alone[0].finished


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
def test_special_ids_are_not_assumed(config: DecodingConfig) -> None:
    ids, swap = SpecialIds(pad=4, bos=0, eos=1), [4, 0, 1, 2, 3, 5]  # standard id → id here; what may be written keeps
    # its order, which decides what a random number means
    model = random_model(3, 6)
    expected = run(model, list(range(6)), config)
    table = torch.empty_like(model.table)
    table[:, swap] = model.table
    renamed = _Renamed(table, model.weights)
    renamed.back = torch.tensor([swap.index(token) for token in range(6)])
    found = run(renamed, list(range(6)), config, ids=ids)
    for best, other in zip(found, expected, strict=True):
        assert [hypothesis.tokens for hypothesis in best] == [[swap[t] for t in each.tokens] for each in other]


class _Renamed(TableModel):
    back: torch.Tensor

    def step(self, tokens, state, memory):  # type: ignore[no-untyped-def]
        return super().step(self.back[tokens], state, memory)


@pytest.mark.parametrize("config", searches(), ids=lambda config: config.name)
@pytest.mark.parametrize("training", [True, False])
def test_search_leaves_the_mode_as_it_found_it(config: DecodingConfig, training: bool) -> None:
    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.modes = random_model(1, 5), set()

        def step(self, tokens, state, memory):  # type: ignore[no-untyped-def]
            self.modes.add(self.training)
            return self.table.step(tokens, state, memory)

        def start(self, *arguments):  # type: ignore[no-untyped-def]
            return self.table.start(*arguments)

    module = Module().train(training)
    run(module, [1, 2], config)  # type: ignore[arg-type]
    assert module.modes == {training} and module.training is training
