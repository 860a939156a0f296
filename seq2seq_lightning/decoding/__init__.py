"""Search: from a model that answers one step to hypotheses. Knows the step protocol and no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.decoding.beam import beam_search
from seq2seq_lightning.decoding.beam_config import BeamConfig
from seq2seq_lightning.decoding.config import DecodingConfig, ForcedLength
from seq2seq_lightning.decoding.constraints.allowed import Automaton, trie
from seq2seq_lightning.decoding.constraints.composed import compose
from seq2seq_lightning.decoding.constraints.length import length_limits
from seq2seq_lightning.decoding.diverse_beam import DiverseBeamConfig, diverse_beam_search
from seq2seq_lightning.decoding.greedy import GreedyConfig, greedy_search
from seq2seq_lightning.decoding.mbr import Evidence, MBRConfig, most_useful
from seq2seq_lightning.decoding.protocol import Details, Hypothesis, NotANumberError, SpecialIds, StepDecoder, Utility
from seq2seq_lightning.decoding.requests import Requests
from seq2seq_lightning.decoding.sampling import SampleConfig, sample
from seq2seq_lightning.decoding.scoring import LengthPenalty, StopRule
from seq2seq_lightning.decoding.task import SearchTask, device_of
from seq2seq_lightning.plugins import Table

__all__ = [
    "SEARCHES",
    "Automaton",
    "BeamConfig",
    "DecodingConfig",
    "DiverseBeamConfig",
    "Evidence",
    "ForcedLength",
    "GreedyConfig",
    "Hypothesis",
    "LengthPenalty",
    "MBRConfig",
    "NotANumberError",
    "Requests",
    "SampleConfig",
    "SpecialIds",
    "StepDecoder",
    "StopRule",
    "Utility",
    "search",
    "trie",
]


def _mbr_search(task: SearchTask, config: MBRConfig) -> list[list[Hypothesis]]:
    """What another search finds, ranked anew."""
    return most_useful(SEARCHES[type(config.candidates)](task, config.candidates), task.utility, config)


SEARCHES: Table[type[DecodingConfig], Callable[[SearchTask, Any], list[list[Hypothesis]]]] = Table(
    "searches",
    DecodingConfig,
    {
        GreedyConfig: greedy_search,
        BeamConfig: beam_search,
        DiverseBeamConfig: diverse_beam_search,
        SampleConfig: sample,
        MBRConfig: _mbr_search,
    },
)


@torch.inference_mode()
def search(
    decoder: StepDecoder,
    state: Any,
    memory: Any,
    source_lengths: Tensor,
    config: DecodingConfig,
    ids: SpecialIds,
    forced_lengths: Sequence[int | None] | Tensor | None = None,
    requests: Requests | None = None,
    with_eos: bool = True,
    with_token_log_probs: bool = False,
    with_attention: bool = False,
    attended_lengths: Tensor | None = None,
    places: Tensor | None = None,
    utility: Utility | None = None,
) -> list[list[Hypothesis]]:
    """Search one batch: outer list the sentences in their order, inner list the n-best, best first, never empty.

    state: one row per sentence, memory: one entry per sentence, as the model starts them; source_lengths: (sentences,)
    int64 on the CPU; forced_lengths: labels per sentence, `eos` counted where there is one, None where free; requests:
    prefixes, required phrases and allowed outputs of each sentence, and what is banned; with_eos: False for a model
    trained without `eos`, whose outputs all end at their maximum or forced length; attended_lengths: how many positions
    of each source attention weighs, (sentences,) on the CPU, None for the source's own; places: (sentences,) where each
    stands in the test set, which decides the noise of sampling, None for its place in this batch; utility: what `mbr`
    compares outputs by. Search never changes whether the model is in training or evaluation mode: dropout is the
    caller's to switch off.
    """
    if len(source_lengths) == 0:
        return []
    device = device_of(state) or device_of(memory) or torch.device("cpu")
    limits = length_limits(config, source_lengths, forced_lengths, device, with_eos)
    details = Details(with_token_log_probs, with_attention)
    attended = source_lengths if attended_lengths is None else attended_lengths
    constraints = compose(config, requests or Requests(), limits, ids, device)
    task = SearchTask(decoder, state, memory, attended, constraints, ids, details, places, utility)
    return SEARCHES[type(config)](task, config)
