from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.metrics.corpus import (
    BLEUConfig,
    ChrFConfig,
    TERConfig,
    bleu,
    chrf,
    reference_streams,
    ter,
)

WORDS = ["ein", "Mann", "fährt", "mit", "dem", "roten", "Fahrrad", ",", "und", "zwei", "Hunde", "laufen", "."]


def corpus(seed: int, sentences: int = 40) -> tuple[list[str], list[tuple[str, ...]]]:
    """References and hypotheses that share about two words of three."""
    chance = random.Random(seed)
    references = [" ".join(chance.choices(WORDS, k=chance.randint(4, 12))) for _ in range(sentences)]
    hypotheses = [" ".join(w if chance.random() < 0.7 else chance.choice(WORDS) for w in r.split()) for r in references]
    return hypotheses, [(reference,) for reference in references]


def test_scores_and_signatures_are_those_of_sacrebleus_own_functions() -> None:
    hypotheses, references = corpus(1)
    plain = [[several[0] for several in references]]
    for ours, theirs, name in [
        (bleu(hypotheses, references, BLEUConfig()), sacrebleu.corpus_bleu(hypotheses, plain), "nrefs:1|case:mixed"),
        (chrf(hypotheses, references, ChrFConfig()), sacrebleu.corpus_chrf(hypotheses, plain), "nc:6|nw:0"),
        (ter(hypotheses, references, TERConfig()), sacrebleu.corpus_ter(hypotheses, plain), "tok:tercom"),
    ]:
        assert ours.value == pytest.approx(theirs.score, abs=1e-9)
        assert 10 < ours.value < 90
        assert name in (ours.signature or "") and f"version:{sacrebleu.__version__}" in (ours.signature or "")
        assert ours.n == 40


def test_bleu_equals_the_command(tmp_path: Path) -> None:
    hypotheses, references = corpus(2)
    (tmp_path / "refs").write_text("".join(f"{several[0]}\n" for several in references), encoding="utf-8")
    (tmp_path / "hyps").write_text("".join(f"{text}\n" for text in hypotheses), encoding="utf-8")
    files = [str(tmp_path / "refs"), "-i", str(tmp_path / "hyps")]
    command = [sys.executable, "-m", "sacrebleu", *files, "-tok", "none", "-b", "-w", "6"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(printed) == pytest.approx(bleu(hypotheses, references, BLEUConfig(tokenize="none")).value, abs=1e-6)


def test_settings_reach_sacrebleu_and_the_signature() -> None:
    hypotheses, references = ["EIN Mann fährt Rad."], [("ein Mann fährt Rad.",)]
    assert bleu(hypotheses, references, BLEUConfig(lowercase=True)).value == pytest.approx(100.0)
    assert bleu(hypotheses, references, BLEUConfig()).value < 90
    assert "tok:none" in (bleu(hypotheses, references, BLEUConfig(tokenize="none")).signature or "")
    assert "smooth:floor[0.20]" in (
        bleu(hypotheses, references, BLEUConfig(smooth_method="floor", smooth_value=0.2)).signature or ""
    )
    assert chrf(hypotheses, references, ChrFConfig(lowercase=True)).value == pytest.approx(100.0)
    assert "nw:2" in (chrf(hypotheses, references, ChrFConfig(word_order=2)).signature or "")
    assert ter(hypotheses, references, TERConfig()).value == 0.0
    assert ter(hypotheses, references, TERConfig(case_sensitive=True)).value == pytest.approx(25.0)  # 1 of 4 words


def test_sentences_may_have_different_numbers_of_references() -> None:
    """A second reference for the first sentence only: the hypothesis equals it, so both sentences are perfect."""
    hypotheses = ["a b c d e", "v w x y z"]
    references = [("p q r s t", "a b c d e"), ("v w x y z",)]
    assert reference_streams(references) == [["p q r s t", "v w x y z"], ["a b c d e", None]]
    score = bleu(hypotheses, references, BLEUConfig())
    assert score.value == pytest.approx(100.0)
    assert "nrefs:var" in (score.signature or "")
    assert chrf(hypotheses, references, ChrFConfig()).value == pytest.approx(100.0)


@pytest.mark.parametrize("metric", [bleu, chrf, ter])
def test_what_cannot_be_scored_is_refused(metric) -> None:  # type: ignore[no-untyped-def]
    config = {bleu: BLEUConfig, chrf: ChrFConfig, ter: TERConfig}[metric]()
    with pytest.raises(DataError, match=r"2 hypotheses for 1 references.*same split"):
        metric(["a", "b"], [("a",)], config)
    with pytest.raises(DataError, match="no sentences"):
        metric([], [], config)
    with pytest.raises(DataError, match="Sentence 2 has no reference"):
        metric(["a", "b"], [("a",), ()], config)
    with pytest.raises(TypeError, match=r"references\[0\] is a string"):
        metric(["a"], ["a"], config)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"metrics.bleu.tokenize=13b is unknown. Did you mean '13a'\?"):
        BLEUConfig(tokenize="13b")
    with pytest.raises(ConfigurationError, match=r"metrics.bleu.smooth_method=expo is unknown. Did you mean 'exp'\?"):
        BLEUConfig(smooth_method="expo")
    with pytest.raises(ConfigurationError, match=r"metrics.chrf.char_order=0 is too small. Set 1 or more"):
        ChrFConfig(char_order=0)
