"""Whether a tracked run may go online: where its key is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb

from seq2seq_lightning.training.settings import WandbLoggerConfig
from seq2seq_lightning.training.tracking import wandb_mode


@pytest.mark.parametrize("key", [None, "netrc", "environment"])
def test_a_key_is_found_without_a_word_and_without_the_network(
    key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.invalid")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # settings of this process are read once
    if key == "netrc":
        (tmp_path / "netrc").write_text(f"machine wandb.invalid\n  login user\n  password {'a' * 40}\n")
    if key == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    try:
        assert wandb_mode(WandbLoggerConfig()) == ("online" if key else "offline")
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert wandb_mode(WandbLoggerConfig()) == "offline"
    finally:
        wandb.teardown()
    assert capfd.readouterr().err == ""
