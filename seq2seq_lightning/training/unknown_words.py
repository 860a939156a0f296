"""Unknown words of outputs replaced by words of their sources, where a decoding asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds
from seq2seq_lightning.decoding.unknown import ReplaceUnknown, with_copied_words
from seq2seq_lightning.text.copying import Copying


def replaces_unknown(decoding: DecodingConfig) -> bool:
    """Whether the search has to bring attention weights along for it."""
    return decoding.replace_unknown is ReplaceUnknown.copy


def words_copied(
    found: Sequence[list[Hypothesis]],
    sources: Sequence[str],
    copying: Copying,
    ids: SpecialIds,
    with_attention: bool,
) -> list[list[Hypothesis]]:
    """The n-best hypotheses of these sources with source words instead of unknown ones; with_attention: keep it."""
    unk_id = copying.target.vocabulary.unk_id
    replaced = []
    for best, source in zip(found, sources, strict=True):
        if any(unk_id in each.tokens for each in best):
            source_ids = copying.source_ids(source)
            best = [with_copied_words(each, source_ids, unk_id, ids) for each in best]
        replaced.append(best if with_attention else [replace(each, attention=None) for each in best])
    return replaced
