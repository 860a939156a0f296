"""What cannot be trained as one of several replicas is refused, each with its reason; what can is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from seq2seq_lightning import replica_rules
from seq2seq_lightning.command_config import AblateConfig
from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.attention import ATTENTIONS
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.replica_rules import ALONE, replica_problems
from seq2seq_lightning.replica_rules import ATTENTIONS as STACKED_ATTENTIONS
from seq2seq_lightning.replica_rules import CELLS as STACKED_CELLS

SMALL: dict[str, Any] = {"embedding_size": 8, "hidden_size": 8}
BASE: dict[str, Any] = {
    "data": {"name": "scan", "batching": {"size": 1}},
    "model": {"encoder": SMALL, "decoder": SMALL},
    "teacher_forcing": {"name": "constant", "ratio": 0.5},
    "trainer": {"accelerator": "cpu", "max_steps": 100},
}


def problems(**changes: dict[str, Any]) -> list[str]:
    plain = {key: dict(values) for key, values in BASE.items()}
    for section, values in changes.items():
        plain[section] = values if "name" in values else plain.get(section, {}) | values
    return replica_problems(Config.from_plain(plain))


def decoder(**values: Any) -> dict[str, Any]:
    return {"encoder": SMALL, "decoder": SMALL | values}


def encoder(**values: Any) -> dict[str, Any]:
    return {"encoder": SMALL | values, "decoder": SMALL}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": decoder(query="between")}, "model.decoder.query=between has no form for replicas."),
    ({"model": decoder(copy="pointer_generator")}, "model.decoder.copy=pointer_generator has no form for replicas."),
    ({"model": decoder(coverage_loss=0.5)}, "model.decoder.coverage_loss=0.5 has no form for replicas."),
    ({"model": encoder(layers=2, pyramid=1)}, "model.encoder.pyramid=1 has no form for replicas."),
    ({"model": encoder(dropout={"recurrent": 0.1})}, "model.encoder.dropout.recurrent=0.1 acts inside of cells"),
    ({"model": decoder(dropout={"zoneout": 0.1})}, "model.decoder.dropout.zoneout=0.1 acts inside of cells"),
    ({"model": decoder(dropout={"weight": 0.1})}, "model.decoder.dropout.weight=0.1 acts inside of cells"),
    ({"model": encoder(embedding={"path": "v.txt"})}, "model.encoder.embedding.path is not read for replicas."),
    ({"teacher_forcing": {"granularity": "mixed"}}, "teacher_forcing.granularity=mixed has no form for replicas."),
    ({"teacher_forcing": {"fed_back": "sample"}}, "and teacher_forcing.fed_back is sample."),
    (
        {"teacher_forcing": {"mechanism": "parallel"}, "model": decoder(query="current")},
        "teacher_forcing.mechanism=parallel has no form for replicas.",
    ),
    ({"teacher_forcing": {"tbptt": 5}}, "teacher_forcing.tbptt=5 has no form for replicas."),
    ({"teacher_forcing": {"name": "confidence"}}, "teacher_forcing=confidence follows each model by itself."),
    ({"objective": {"name": "minimum_risk"}, "teacher_forcing": {"ratio": 1.0}}, "and objective is minimum_risk."),
    ({"optimizer": {"name": "adam", "ema": 0.9}}, "optimizer.ema=0.9 has no form for replicas."),
    (
        {"data": {"name": "reverse", "batching": {"size": 1}}},
        "replicas are trained without validation, and this data has a validation split.",
    ),
    (
        {"trainer": {"accumulate": 1, "precision": "bf16-mixed"}},
        "trainer.precision=32-true or 64-true, and it is bf16-",
    ),
    ({"trainer": {"extra": {"detect_anomaly": True}}}, "trainer.extra is not passed on for replicas."),
    ({"logger": {"name": "wandb"}}, "logger=wandb follows one training per process."),
    ({"data": {"name": "scan", "batching": {"size": 1, "workers": 1}}}, "data.batching.workers=1 has no form"),
    ({"data": {"name": "scan", "batching": {"size": 1, "buffer": 50}}}, "data.batching.buffer=50: seeds would read"),
    (
        {"model": encoder(hidden_size=220, layers=2) | {"bridge": {"name": "dense"}, "cell": {"name": "lstm"}}},
        "with 2 × 220 units units² · layers · gates is 387,200, where they gain up to 320,000",
    ),
    (
        {
            "model": encoder(hidden_size=100) | {"bridge": {"name": "dense"}, "cell": {"name": "lstm"}},
            "data": {"batching": {"size": 17}},
        },
        "and 680,000 times data.batching.size=17, where they gain up to 640,000.",
    ),
    (
        {"data": {"batching": {"size": 100, "unit": "tokens"}}},
        "data.batching.unit=tokens gives each seed another number of updates per epoch.",
    ),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED, ids=[told[:40] for _, told in REFUSED])
def test_what_has_no_form_is_refused_with_what_to_do(changes: dict[str, Any], told: str) -> None:
    found = problems(**changes)
    assert any(told in problem for problem in found), found
    assert all(problem.endswith(f"{ALONE}.") for problem in found)


def test_going_on_with_one_run_is_refused() -> None:
    plain = {**BASE, "data": {"name": "scan", "batching": {"size": 1}}}
    config = replace(Config.from_plain(plain), init_from="runs/a", extend="runs/b")
    found = replica_problems(config)
    assert f"extend=runs/b goes on with one run. {ALONE}." in found
    assert f"init_from=runs/a is not read for replicas. {ALONE}." in found


def test_a_gpu_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_rules, "device_named", lambda _: torch.device("cuda"))
    assert problems() == [f"replicas are trained on the CPU: set trainer.accelerator=cpu. {ALONE}."]


def test_less_than_one_replica_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^replicas is 0; it must be at least 1, each seed alone\.$"):
        AblateConfig(replicas=0)


def test_small_models_pass_at_many_sentences() -> None:
    changes: dict[str, Any] = {"model": encoder(hidden_size=100) | {"bridge": {"name": "dense"}}}
    assert problems(**changes, data={"batching": {"size": 16}}) == []


@pytest.mark.parametrize("config", list(CELLS))
def test_cells_that_can_be_stacked_pass_and_others_are_named(config: Any) -> None:
    found = problems(model={"cell": {"name": config().name}} | decoder())
    assert (found == []) is (config in STACKED_CELLS)
    assert all(f"this model has {config().name}." in problem for problem in found)


@pytest.mark.parametrize("config", list(ATTENTIONS))
def test_attentions_that_can_be_stacked_pass_and_others_are_named(config: Any) -> None:
    found = problems(model={"attention": {"name": config().name}} | decoder())
    assert (found == []) is (config in STACKED_ATTENTIONS)
    assert all(f"and this model by {config().name}." in problem for problem in found)
