"""The speed of search with a trained run: whole passes over a test set, in a process of its own.

    python benchmarks/searching.py RUN --source test.en --references test.de [--passes 3] [--output HYPOTHESES]
        [decoding=beam decoding.beam_width=5 decoding.batch_size=128 …]

Times what `seq2seq-evaluate` runs: sorting, batching, padding, the encoder and the search are inside the clock, reading
the corpus, loading the model and scoring are not. The search is given as to that command. Prints a line `RESULT {…}`
for interleave.py: sentences and labels a second (medians over passes), labels per sentence, BLEU of the tokens as they
are, GFLOP/s of the beam's rows, and MiB of the process at its highest.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path

import sacrebleu
from hydra import compose, initialize_config_dir

from seq2seq_lightning.command_config import EvaluateConfig
from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.config import FAMILIES
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.structure import from_plain
from seq2seq_lightning.throughput import search_rate
from seq2seq_lightning.trained import Trained, load
from seq2seq_lightning.training.settings import MatmulPrecision, TrainerConfig
from seq2seq_lightning.training.trainer import prepare_process


def main() -> None:
    """Load, search, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--matmul-precision", default="auto", choices=MatmulPrecision.__members__)
    parser.add_argument("--output", type=Path)
    options = parser.parse_intermixed_args()
    decoding = searched(options.overrides)
    trained = load(options.run)
    trainer = TrainerConfig(threads=options.threads, matmul_precision=MatmulPrecision[options.matmul_precision])
    prepare_process(trainer, trained.config.width)
    pairs = read(options.source, options.references)
    rate = search_rate(trained, pairs, decoding, decoding.batch_size, options.passes)
    figures = {
        "sent_s": rate.sentences_per_second.median,
        "tok_s": rate.labels_per_second.median,
        "mean_len": rate.labels_per_sentence,
        "gflops": rate.useful_gflops.median,
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "bleu": bleu(trained, pairs, decoding, options.output),
    }
    print("RESULT " + json.dumps(figures), flush=True)


def searched(overrides: list[str]) -> DecodingConfig:
    """The decoding that these overrides of `seq2seq-evaluate` choose."""
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        composed = compose("evaluate", ["run=none", *overrides])
    return from_plain(EvaluateConfig, plain(composed), FAMILIES).decoding


def read(source: Path, references: Path) -> list[Pair]:
    """Line-aligned text."""
    sides = (path.read_text(encoding="utf-8").splitlines() for path in (source, references))
    return [Pair.of(*lines) for lines in zip(*sides, strict=True)]


def bleu(trained: Trained, pairs: list[Pair], decoding: DecodingConfig, output: Path | None) -> float:
    """Of tokenised text against tokenised references; the text is kept where asked."""
    texts = trained.translate([pair.source for pair in pairs], decoding)
    if output is not None:
        output.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    found = sacrebleu.corpus_bleu(texts, [[pair.references[0] for pair in pairs]], tokenize="none", force=True)
    return round(found.score, 2)


if __name__ == "__main__":
    main()
