"""What a tokenizer learns from the training texts, with a word about it while it lasts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from tqdm import tqdm

from seq2seq_lightning.text import TOKENIZERS
from seq2seq_lightning.text.tokenizers import Learnt, LearntTokenizer, TokenizerConfig


def learn(config: TokenizerConfig, texts: Iterable[str]) -> Learnt:
    """What the tokenizer of this config keeps of the texts, which are walked once; tells of it on standard error."""
    kind = TOKENIZERS[type(config)]
    assert issubclass(kind, LearntTokenizer)
    began = time.perf_counter()
    read = tqdm(texts, desc=f"reading texts for {config.name}", unit=" texts", disable=not sys.stderr.isatty())
    learnt = kind.learn(config, read)
    seconds, count = time.perf_counter() - began, len(kind(config, learnt).tokens())
    print(f"{config.name}: {count:,} tokens learnt in {seconds:.1f} s", file=sys.stderr)
    return learnt
