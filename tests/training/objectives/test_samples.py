"""What is drawn is a pure function of seed, update, place, sample and position; what it is worth is the model's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seq2seq_lightning.metrics.sentence import token_accuracy
from seq2seq_lightning.models.decoder_config import Context, Copy
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.training.objectives.samples import (
    NO_LABEL,
    draw,
    gold_labels,
    is_first,
    join,
    length_limits,
    log_probs,
    rewards,
)
from tests.training.objectives.by_hand import TINY, all_sequences, log_prob, tiny_step
from tests.training.objectives.steps import IDS, VOCAB, make_batch, make_model, make_step, part

LIMITS = [5, 4, 3]


def rows_of(labels: torch.Tensor) -> list[list[tuple[int, ...]]]:
    return [[tuple(token for token in row if token != NO_LABEL) for row in rows] for rows in labels.tolist()]


def test_a_sample_ends_with_eos_or_at_its_limit():
    labels = draw(make_step(), 40, LIMITS)
    found = rows_of(labels)
    for rows, limit in zip(found, LIMITS, strict=True):
        for row in rows:
            assert len(row) <= limit and IDS.eos not in row[:-1]
            assert row[-1] == IDS.eos or len(row) == limit
    every = [row for rows in found for row in rows]
    assert any(row[-1] == IDS.eos for row in every) and any(row[-1] != IDS.eos for row in every)


def test_a_sample_depends_on_its_place_and_number_alone():
    whole, batch = draw(make_step(), 5, LIMITS), make_batch()
    fewer = draw(make_step(), 3, LIMITS)
    torch.testing.assert_close(whole[:, :3], fewer)
    swapped = draw(make_step(batch=part(batch, [2, 0])), 5, [LIMITS[2], LIMITS[0]])
    assert rows_of(swapped) == [rows_of(whole)[2], rows_of(whole)[0]]
    assert rows_of(draw(make_step(update=1), 5, LIMITS)) != rows_of(whole)


def test_the_greedy_row_comes_first_and_leaves_the_samples_as_they_are():
    step = make_step()
    both, samples = draw(step, 3, LIMITS, with_greedy=True), draw(step, 3, LIMITS)
    assert rows_of(both[:, 1:]) == rows_of(samples)
    for row, (written,) in enumerate(rows_of(both[:, :1])):
        for position, token in enumerate(written):
            values = [log_prob(step, row, (*written[:position], other)).item() for other in range(9)]
            assert token == max(range(9), key=values.__getitem__)


def test_drawing_leaves_mode_and_random_numbers_as_they_were_and_drops_nothing():
    model = make_model(dropout=0.5).train()
    model.encoder.eval()
    generator = torch.get_rng_state()
    dropped = draw(make_step(model), 5, LIMITS)
    assert model.training and model.decoder.training and not model.encoder.training
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(dropped, draw(make_step(model.eval()), 5, LIMITS))


def test_frequencies_are_the_models_probabilities():
    step, count = tiny_step(), 4000
    found = rows_of(draw(step, count, [2, 2]))
    for row in range(2):
        for sequence in all_sequences():
            p = log_prob(step, row, sequence).exp().item()
            assert abs(found[row].count(sequence) / count - p) < 5 * (p * (1 - p) / count) ** 0.5 + 1 / count


@pytest.mark.parametrize("kind", ["fused", "input_feeding", "every_step", "initial", "copying"])
def test_log_probs_are_those_of_the_step_protocol(kind):
    config, batch = ModelConfig(), make_batch()
    if kind == "input_feeding":
        config.decoder.input_feeding = True
    elif kind == "copying":
        config.decoder.copy = Copy.pointer_generator
        batch = replace(batch, copy_ids=(batch.source + 2).where(batch.source != IDS.pad, IDS.pad))
    elif kind != "fused":
        config.decoder.context, config.decoder.query = Context[kind], None
    step = make_step(make_model(config), batch)
    labels = join(gold_labels(step), draw(step, 3, LIMITS))
    found = log_probs(step, labels)
    for row, sequences in enumerate(rows_of(labels)):
        for column, sequence in enumerate(sequences):
            assert found[row, column].item() == pytest.approx(log_prob(step, row, sequence).item(), abs=1e-9)
    assert (labels >= VOCAB).any() == (kind == "copying")


def test_probabilities_of_all_sequences_add_up_to_one():
    step = tiny_step()
    sequences = all_sequences(TINY, 2)
    padded = [[*sequence, NO_LABEL][:2] for sequence in sequences]
    found = log_probs(step, torch.tensor([padded, padded]))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2, dtype=torch.float64))


def test_rewards_look_at_tokens_without_eos():
    step = make_step()
    labels = gold_labels(step).repeat(1, 2, 1)
    assert rewards(step, labels, token_accuracy).tolist() == [[1.0, 1.0]] * 3
    labels[0, 1, 0] = 3 if labels[0, 1, 0] != 3 else 4
    length = int(step.batch.target_lengths[0]) - 1
    assert rewards(step, labels, token_accuracy)[0].tolist() == [1.0, (length - 1) / length]


def test_repeated_candidates_are_found_in_their_own_sentence_only():
    labels = torch.tensor([[[4, 2], [5, 2], [4, 2]], [[5, 2], [4, 2], [2, NO_LABEL]]])
    assert is_first(labels).tolist() == [[True, True, False], [True, True, True]]


def test_limits_are_at_least_one_label():
    assert length_limits(torch.tensor([1, 4, 7]), 1.5, 0) == [1, 6, 10]
    assert length_limits(torch.tensor([1, 4]), 0.2, 0) == [1, 1]
    assert length_limits(torch.tensor([1, 4]), 0.0, 2) == [2, 2]
