"""Where the embedding of a side comes from, and whether it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class EmbeddingConfig:
    """Vectors from elsewhere; words that the file lacks keep those that were drawn."""

    path: str | None = None  # a text file in the form of word2vec or GloVe, plain or gzip; null: all are drawn
    freeze: bool = False  # whether the embedding stays as it begins


def build_embedding(config: EmbeddingConfig, vocab_size: int, size: int, pad_id: int) -> nn.Embedding:
    """An embedding whose vectors are still to be drawn; a frozen one takes no gradient, so no optimiser has it."""
    embedding = nn.Embedding(vocab_size, size, padding_idx=pad_id)
    embedding.weight.requires_grad_(not config.freeze)
    return embedding


@torch.no_grad()
def give_vectors(embedding: nn.Embedding, vectors: Mapping[int, Sequence[float]]) -> None:
    """Replace the vectors of these ids."""
    weight = embedding.weight
    values = torch.tensor(list(vectors.values()), dtype=torch.float64)
    weight[torch.tensor(list(vectors), device=weight.device)] = values.to(weight)
