"""What a model looked at when it wrote the outputs of a few sentences: words and weights, for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.decoding.trace import traced
from seq2seq_lightning.training.searching import Searcher, evaluating

SENTENCES = 4  # of a test set
LONGEST = 40  # tokens of a source or an output: a picture has no room for more
DIGITS = 3


def attended(
    searcher: Searcher, pairs: Sequence[Pair], hypotheses: Sequence[Sequence[Hypothesis]]
) -> list[dict[str, Any]]:
    """Of the first sentences that are short enough: `{source, output, weights}`, the weights (output, source).

    The best hypothesis of each is fed to the model once more, so that every search can be looked at. Without attention
    there is nothing to tell.
    """
    vocab = len(searcher.target.vocabulary)
    chosen = [
        (pair, best[0])
        for pair, best in zip(pairs[: 4 * SENTENCES], hypotheses, strict=False)
        if best[0].tokens and max(len(best[0].tokens), len(searcher.source.tokenize(pair.source))) < LONGEST
        if searcher.model.copies or max(best[0].tokens) < vocab  # a word put in later was never fed
    ][:SENTENCES]
    if not chosen:
        return []
    with evaluating(searcher.model):
        found = dict(_of_batches(searcher, *zip(*chosen, strict=True)))
    return [found[place] for place in sorted(found)]


def _of_batches(
    searcher: Searcher, pairs: Sequence[Pair], hypotheses: Sequence[Hypothesis]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for batch in searcher.batches(searcher.encode(pairs), len(pairs)):
        rows = batch.indices.tolist()
        memory, state = searcher.model.start(batch.source, batch.source_lengths, batch.copy_ids)
        lengths = searcher.model.attended_lengths(batch.source_lengths).tolist()
        own = [[hypotheses[row]] for row in rows]
        told = traced(searcher.model, state, memory, own, searcher.ids, 1, lengths)
        for row, (hypothesis,), length in zip(rows, told, lengths, strict=True):
            steps = hypothesis.trace.steps if hypothesis.trace is not None else []
            weights = [[round(each, DIGITS) for each in step.attention] for step in steps if step.attention is not None]
            if weights:
                output = [searcher.word(step.written, pairs[row].source) for step in steps]
                yield row, {"source": _words(searcher, pairs[row], length), "output": output, "weights": weights}


def _words(searcher: Searcher, pair: Pair, length: int) -> list[str]:
    """What stands at the positions that are attended, in the order in which the encoder reads; else their numbers."""
    config, tokens = searcher.source.config, searcher.source.tokenize(pair.source)
    read = tokens[::-1] if config.reverse else tokens
    words = [*["<bos>"] * config.bos, *read, *["<eos>"] * config.eos]
    return words if len(words) == length else [str(position) for position in range(1, length + 1)]
