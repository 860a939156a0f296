"""`matmul_precision=auto` is float32 on every machine, and names what it chose."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.config import Config, fingerprint
from seq2seq_lightning.training import arithmetic
from seq2seq_lightning.training.arithmetic import WIDE, medium_is_exact, resolve, set_matmul_precision
from seq2seq_lightning.training.settings import MatmulPrecision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forget():
    before = torch.get_float32_matmul_precision()
    medium_is_exact.cache_clear()
    yield
    medium_is_exact.cache_clear()
    torch.set_float32_matmul_precision(before)


def test_looking_leaves_the_setting_as_it_was():
    torch.set_float32_matmul_precision("high")
    medium_is_exact()
    assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize(("errors", "expected"), [([9e-7, 2e-6], "medium"), ([9e-7, 3e-3], "highest")])
def test_auto_takes_the_fast_road_only_where_it_is_float32(monkeypatch, errors, expected):
    monkeypatch.setattr(arithmetic, "_errors", lambda: errors)
    set_matmul_precision(MatmulPrecision.auto, WIDE, CPU)
    assert torch.get_float32_matmul_precision() == expected


def test_narrow_models_and_gpus_keep_the_plain_road(monkeypatch):
    monkeypatch.setattr(arithmetic, "_errors", lambda: [0.0])
    assert resolve(MatmulPrecision.auto, WIDE - 1, CPU) is MatmulPrecision.highest
    assert resolve(MatmulPrecision.auto, WIDE, torch.device("cuda")) is MatmulPrecision.highest


def test_the_products_that_are_looked_at_are_exact_on_the_plain_road():
    torch.set_float32_matmul_precision("highest")
    assert 0 < max(arithmetic._errors()) < arithmetic.TOLERANCE


def test_bfloat16_would_be_seen(monkeypatch):
    product = torch.bmm

    def rounded(values: torch.Tensor) -> torch.Tensor:
        return values.bfloat16().float()

    monkeypatch.setattr(
        torch, "bmm", lambda a, b: rounded(a) @ rounded(b) if a.dtype is torch.float32 else product(a, b)
    )
    assert arithmetic._errors()[-1] > arithmetic.TOLERANCE > max(arithmetic._errors()[:-1])


@pytest.mark.parametrize("choice", [each for each in MatmulPrecision if each is not MatmulPrecision.auto], ids=str)
def test_a_choice_by_name_is_obeyed(choice):
    assert resolve(choice, 10_000, CPU) is choice


def test_a_run_keeps_its_name_whichever_float32_road_it_takes():
    names = {
        choice: fingerprint(Config.from_plain({"trainer": {"matmul_precision": choice}}))
        for choice in ("auto", "highest", "medium")
    }
    assert names["auto"] == names["highest"] != names["medium"]
