"""Unknown words replaced after the search by the source word that attention looked at (Luong et al. 2015, arXiv
1410.8206, §3.3, with attention for their alignments: Jean et al. 2015, arXiv 1412.2007, §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds


class ReplaceUnknown(Enum):
    """What stands where a model wrote that it does not know the word."""

    none = "none"  # the mark of the unknown word
    copy = "copy"  # the source word with the largest attention weight when it was written


def with_copied_words(hypothesis: Hypothesis, source_ids: Sequence[int], unk_id: int, ids: SpecialIds) -> Hypothesis:
    """The hypothesis with source words instead of unknown ones; of equal weights the first position. Scores stay.

    source_ids: for each position that attention weighs the id that writes its word; marks are never copied.
    """
    if unk_id not in hypothesis.tokens:
        return hypothesis
    assert hypothesis.attention is not None, "replacing unknown words needs attention weights"
    words = [place for place, token in enumerate(source_ids) if token not in (ids.pad, ids.bos, ids.eos)]
    if not words:
        return hypothesis
    tokens = [
        source_ids[max(words, key=weights.__getitem__)] if token == unk_id else token
        for token, weights in zip(hypothesis.tokens, hypothesis.attention, strict=False)
    ]
    return replace(hypothesis, tokens=tokens)
