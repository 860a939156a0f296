"""Gives a new model the word vectors that its configuration names, and counts how many words have one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from seq2seq_lightning.data.vectors import read_vectors, vectors_hash
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.models.embeddings import give_vectors
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.text.vocabulary import Vocabulary
from seq2seq_lightning.training.ranks import is_first_rank

FILE_NAME = "embeddings.json"  # in the run directory: what was found, for the record of a run that is continued

Found = dict[str, dict[str, Any]]
"""By side: the file, the words of the vocabulary, how many of them it has."""


def embed_from_files(
    model: Seq2Seq, config: ModelConfig, vocabularies: Mapping[str, Vocabulary], folder: Path
) -> Found:
    """Fill the embeddings whose vectors lie in files; says, and keeps in the run directory, what the files had.

    vocabularies: of source and target.
    """
    encoder, decoder = config.encoder, config.decoder
    paths = {
        "source": (model.encoder.embedding, encoder.embedding.path, "model.encoder.embedding.path"),
        "target": (model.decoder.embedding, decoder.embedding.path, "model.decoder.embedding.path"),
    }
    found = {
        side: _fill(embedding, path, key, vocabularies[side])
        for side, (embedding, path, key) in paths.items()
        if path is not None
    }
    if found and is_first_rank():
        write_json_durably(folder / FILE_NAME, found)
        print(*describe(found), sep="\n", file=sys.stderr)
    return found


def _fill(embedding: nn.Embedding, path: str, key: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Fill one embedding; the marks such as `<pad>` keep their vectors, whatever the file has."""
    ids = {token: index for index, token in enumerate(vocabulary.tokens) if token in vocabulary}
    vectors = read_vectors(path, key, ids, embedding.embedding_dim)
    give_vectors(embedding, {ids[word]: values for word, values in vectors.values.items()})
    return {
        "path": path,
        "hash": vectors_hash(path, key),
        "vectors": vectors.lines,
        "words": vectors.wanted,
        "found": len(vectors.values),
        "share": vectors.share,
    }


def describe(found: Found) -> list[str]:
    """One sentence per side."""
    return [
        f"{its['path']} has vectors of {its['found']:,} of the {its['words']:,} {side} words ({its['share']:.1%}); "
        f"the others keep drawn ones."
        for side, its in found.items()
    ]


def read_found(folder: Path) -> Found:
    """What was found when a run began; nothing where all vectors were drawn."""
    path = folder / FILE_NAME
    return read_json(path) if path.is_file() else {}
