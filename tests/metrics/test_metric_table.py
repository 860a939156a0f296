from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.metrics import METRICS, BLEUConfig, MetricsConfig, buckets, higher_is_better, score_corpus
from seq2seq_lightning.structure import from_plain, to_plain

HYPOTHESES = ["the cat sat on the mat", "a dog ran home today"]
REFERENCES = [("the cat sat on the mat",), ("a dog walked home today",)]
ACTIONS = ["I_WALK I_JUMP", "I_RUN"], [("I_WALK I_JUMP",), ("I_TURN_LEFT I_RUN",)]
TEXTS = {"execution": ACTIONS}  # of metrics that do not take any text


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_prefers_the_better_text(name: str) -> None:
    """Perfect, one word wrong, all wrong: in the order `higher_is_better` says; each with signature and n."""
    hypotheses, references = TEXTS.get(name, (HYPOTHESES, REFERENCES))
    texts = [[several[0] for several in references], hypotheses, ["x y", "z"]]
    scores = [score_corpus(MetricsConfig(), each, references, names=[name])[name] for each in texts]
    values = [score.value if higher_is_better(name) else -score.value for score in scores]
    assert values[0] > values[1] > values[2]
    assert {score.n for score in scores} == {2} and all(score.signature for score in scores)
    assert scores[0].value == (pytest.approx(100.0) if higher_is_better(name) else 0.0)


def test_the_report_decides_what_is_scored_and_in_which_order() -> None:
    assert list(score_corpus(MetricsConfig(), HYPOTHESES, REFERENCES)) == MetricsConfig().report
    assert list(score_corpus(MetricsConfig(report=["wer", "bleu"]), HYPOTHESES, REFERENCES)) == ["wer", "bleu"]
    config = MetricsConfig(bleu=BLEUConfig(tokenize="char"))
    assert "tok:char" in (score_corpus(config, HYPOTHESES, REFERENCES, names=["bleu"])["bleu"].signature or "")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"metrics.report names 'blue', which is no metric. Did you mean 'bleu'"
    ):
        MetricsConfig(report=["blue"])
    with pytest.raises(ConfigurationError, match=r"names 'rouge', which is no metric. Allowed: bleu, cer"):
        score_corpus(MetricsConfig(), HYPOTHESES, REFERENCES, names=["rouge"])
    with pytest.raises(ConfigurationError, match=r"'val/perplexitty' is no score. Did you mean 'perplexity'"):
        higher_is_better("val/perplexitty")


def test_which_way_is_better() -> None:
    assert all(
        map(higher_is_better, ["exact_match", "val/bleu", "chrf", "token_accuracy", "test/expected_exact_match"])
    )
    assert not any(map(higher_is_better, ["wer", "test/per", "cer", "ter", "perplexity", "val/loss", "nll"]))


def test_buckets_are_five_wide_and_start_at_one() -> None:
    assert buckets([1, 5, 6, 10, 11, 30]) == [(1, 5, [0, 1]), (6, 10, [2, 3]), (11, 15, [4]), (26, 30, [5])]
    assert buckets([0, 3], width=2) == [(1, 2, [0]), (3, 4, [1])]


@given(st.lists(st.integers(1, 60)), st.integers(1, 10))
def test_each_sentence_is_in_the_one_bucket_of_its_length(lengths: list[int], width: int) -> None:
    found = buckets(lengths, width)
    assert sorted(place for _, _, places in found for place in places) == list(range(len(lengths)))
    assert all(low <= lengths[place] <= high for low, high, places in found for place in places)


def test_the_config_survives_plain_values_and_omegaconf() -> None:
    config = MetricsConfig(report=["wer"], bleu=BLEUConfig(tokenize="none"))
    assert from_plain(MetricsConfig, to_plain(config), {}) == config
    tree = OmegaConf.merge(OmegaConf.structured(MetricsConfig), {"report": ["wer"], "bleu": {"tokenize": "none"}})
    assert OmegaConf.to_object(tree) == config


def test_metrics_import_no_torch() -> None:
    code = "import sys, seq2seq_lightning.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
