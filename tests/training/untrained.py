"""Models over a few words with the weights they were drawn with, ready to be searched."""

from __future__ import annotations

import random
from typing import Any

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.trained import Trained, new_model

WORDS = ["one", "two", "three", "four", "five", "six", "seven"]


def pairs(count: int = 23, seed: int = 0) -> list[Pair]:
    """Sentences of one to eight words, and themselves backwards."""
    draw = random.Random(seed)
    sources = [" ".join(draw.choices(WORDS, k=draw.randint(1, 8))) for _ in range(count)]
    return [Pair.of(source, " ".join(source.split()[::-1])) for source in sources]


def untrained(seed: int = 1, words: list[Pair] | None = None, **changes: dict[str, Any]) -> Trained:
    """A small model in float64 whose vocabularies are those of these pairs; its weights are large, so that outputs
    differ."""
    plain = Config().to_plain()
    plain["seed"] = seed
    plain["trainer"]["precision"] = "64-true"
    for side in ("encoder", "decoder"):
        plain["model"][side] |= {"embedding_size": 5, "hidden_size": 6}
    for path, values in changes.items():
        section = plain
        for key in path.split("__")[:-1]:
            section = section[key]
        section[path.split("__")[-1]] |= values
    config = Config.from_plain(plain)
    known = pairs() if words is None else words
    source = SourceCodec.build(config.text.source, (pair.source for pair in known))
    target = TargetCodec.build(config.text.target, (pair.target for pair in known))
    model = new_model(config, source, target)
    for parameter in model.parameters():
        parameter.data.mul_(3.0)
    return Trained(config, model.eval(), source, target, None)
