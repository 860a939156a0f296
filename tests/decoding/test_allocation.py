from __future__ import annotations

import math

import torch

from seq2seq_lightning.decoding import SpecialIds
from seq2seq_lightning.decoding.allocation import allocated_candidates
from seq2seq_lightning.decoding.constraints.required import RequiredPhrases, required_phrases

IDS = SpecialIds(pad=0, bos=1, eos=2)
A, B, C, D = 3, 4, 5, 6


def required(*phrases: list[int]) -> RequiredPhrases:
    found = required_phrases([list(phrases)], IDS, torch.device("cpu"))
    assert found is not None
    return found


def first(width: int, phrases: RequiredPhrases, probabilities: dict[int, float]) -> list[int]:
    """The tokens of the 2 × width candidates of one hypothesis, as far as they are possible."""
    log_probs = torch.full((1, 1, 7), -torch.inf)
    for token, probability in probabilities.items():
        log_probs[0, 0, token] = math.log(probability)
    found = allocated_candidates(log_probs, torch.zeros(1, 1), width, phrases, IDS.pad)
    possible = found.log_probs[0] > -torch.inf
    assert found.tokens.shape == (1, 2 * width)
    return found.tokens[0][possible].tolist()


def test_each_bank_has_its_places_and_the_fullest_ones_the_remainder() -> None:
    """Required: a; b. One hypothesis that has met nothing: c, d fall into bank 0, a and b into bank 1, bank 2 is empty.

    Width 3: a place each. Bank 0 gets c (0.6), bank 1 a (0.1); the place of bank 2 goes to nobody before the rest.
    Width 4: the remainder of 4 ÷ 3 goes to bank 2, still empty. Width 5: to banks 2 and 1, so b (0.05) is placed too.
    """
    probabilities = {C: 0.6, D: 0.25, A: 0.1, B: 0.05}
    both = required([A], [B])
    assert first(3, both, probabilities) == [C, A, D, B]
    assert first(4, both, probabilities) == [C, A, D, B]
    assert first(5, both, probabilities) == [C, A, B, D]


def test_the_next_token_of_a_phrase_is_proposed_however_improbable() -> None:
    """Width 1: the two best are c and d; a, the ninth best, stands first, as bank 1 has the only place."""
    probabilities = {C: 0.6, D: 0.3, A: 1e-9}
    assert first(1, required([A]), probabilities) == [A, C]


def test_nothing_is_proposed_twice() -> None:
    assert sorted(first(4, required([A], [B, A]), {A: 0.5, B: 0.3, C: 0.2})) == [A, B, C]
