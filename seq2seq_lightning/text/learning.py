"""What a tokenizer learns from the training texts, with a word about it while it lasts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from random import Random

from tqdm import tqdm

from seq2seq_lightning.text import TOKENIZERS
from seq2seq_lightning.text.tokenizers import Learnt, LearntTokenizer, LearntTokenizerConfig


def learn(config: LearntTokenizerConfig, texts: Iterable[str]) -> Learnt:
    """What the tokenizer of this config keeps of the texts, which are walked once; tells of it on standard error."""
    kind = TOKENIZERS[type(config)]
    assert issubclass(kind, LearntTokenizer)
    began = time.perf_counter()
    read = tqdm(texts, desc=f"reading texts for {config.name}", unit=" texts", disable=not sys.stderr.isatty())
    learnt = kind.learn(config, read if config.sample is None else drawn(read, config.sample))
    seconds, count = time.perf_counter() - began, len(kind(config, learnt).tokens())
    print(f"{config.name}: {count:,} tokens learnt in {seconds:.1f} s", file=sys.stderr)
    return learnt


def drawn(texts: Iterable[str], count: int) -> list[str]:
    """So many of the texts, any as likely as another, and always the same (Vitter 1985, algorithm R)."""
    draw, kept = Random(0), list[str]()
    for place, text in enumerate(texts):
        if place < count:
            kept.append(text)
        elif (chosen := draw.randrange(place + 1)) < count:
            kept[chosen] = text
    return kept
