"""Weights & Biases where no server answers as it should: the run goes on offline, in bounded time, and ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import wandb

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.settings import NoLoggerConfig, WandbLoggerConfig, WandbMode
from seq2seq_lightning.training.tracking import (
    LONGEST_TAG,
    JobType,
    RunIdentity,
    finish_tracking,
    is_tracking,
    log_checkpoint,
    log_scores,
    start_tracking,
    tags,
    tracked_evaluation,
    wandb_mode,
)

KEY = "0123456789" * 4  # has the form of a key, and is none
WAIT = 4.0


def identity(folder: Path) -> RunIdentity:
    config = {"validation": {"metrics": ["exact_match", "ter"]}, "seed": 1, "api_key": KEY}
    return RunIdentity(folder, "tracked", "abcdef012345", config, ["seed=1"], "sweep", "val/exact_match", "max")


def history(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Summary and records of the offline run, by W&B's own reader."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json"]
    summary = subprocess.run([*command, "--summary", str(run)], capture_output=True, text=True, check=True)
    records = subprocess.run([*command, str(run)], capture_output=True, text=True, check=True)
    return json.loads(summary.stdout), [json.loads(line) for line in records.stdout.splitlines()]


# -- servers that are of no use ----------------------------------------------------------------------------------------


@contextmanager
def refusing() -> Iterator[int]:
    """A port that nobody listens at."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@contextmanager
def hanging() -> Iterator[int]:
    """Takes connections and never says a word."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


def answering(status: int, body: bytes) -> Callable[[], Any]:
    """Answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def log_message(self, *arguments: object) -> None:
            """Nothing: the tests' output is their own."""

    @contextmanager
    def serving() -> Iterator[int]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
        server.server_close()

    return serving


SERVERS: dict[str, Callable[[], Any]] = {
    "refuses": refusing,
    "hangs": hanging,
    "breaks": answering(500, b"out of order"),
    "forbids": answering(401, b'{"errors": [{"message": "no such key"}]}'),
    "is another": answering(200, b"<html>hello</html>"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_of_no_use_stops_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SERVERS[name]() as port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.delenv("WANDB_MODE", raising=False)
        wandb.teardown()
        start = time.monotonic()
        with pytest.warns(UserWarning, match="could not be reached .*tracking offline"):
            tracked = start_tracking(WandbLoggerConfig(mode=WandbMode.online, timeout=WAIT), identity(tmp_path))
        assert tracked.offline
        tracked.log({"val/exact_match": 50.0, "trainer/global_step": 10})
        finish_tracking(0)
        waited = time.monotonic() - start
    wandb.teardown()
    assert wandb.run is None
    assert waited < 240  # a few seconds, unless the machine does much besides; a hung start or end is never over
    (run,) = (tmp_path / "wandb").glob("offline-run-*-abcdef012345")
    assert list(run.glob("*.wandb"))


@pytest.mark.slow
def test_scores_samples_attention_and_checkpoint_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    start_tracking(WandbLoggerConfig(tags=["mine"]), identity(tmp_path))
    for value in (3.0, 2.0, 4.0):
        wandb.run.log({"val/ter": value, "val/loss": value})  # type: ignore[union-attr]
    attention = [{"source": ["a", "b"], "output": ["b"], "weights": [[0.25, 0.75]]}]
    log_scores("test", {"test/bleu": 12.5}, [("a", "b", "c")], attention)
    log_checkpoint(tmp_path / "best.ckpt", "abcdef012345")
    finish_tracking(1)
    summary, records = history(tmp_path)
    assert summary["exit_code"] == 1
    assert summary["tags"] == ["mine", "seed=1"]
    assert KEY not in json.dumps(records)
    kept = summary["summary"]
    assert (kept["test/bleu"], kept["val/ter"], kept["val/loss"]) == (12.5, {"min": 2.0}, {"min": 2.0})
    assert (kept["samples/test"]["nrows"], kept["attention/test"]["count"]) == (1, 1)
    assert (kept["attention/test"]["height"], kept["attention/test"]["width"]) == (16, 32)
    assert [each for each in records if each["type"] == "artifact"]


@pytest.mark.parametrize(("mode", "bounded"), [("online", True), ("offline", False)])
def test_only_what_a_server_does_is_bounded(
    mode: str, bounded: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, wandb.Settings]] = []

    def init(mode: str, settings: wandb.Settings, **options: Any) -> mock.Mock:
        seen.append((mode, settings))
        return mock.Mock()

    monkeypatch.setattr(wandb, "init", init)
    start_tracking(WandbLoggerConfig(mode=WandbMode(mode), timeout=WAIT), identity(tmp_path))
    ((asked, settings),) = seen
    assert asked == mode
    assert ((settings.init_timeout, settings.finish_timeout) == (WAIT, WAIT)) == bounded


def test_a_tracker_that_does_not_start_at_all_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init(**options: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(wandb, "init", init)
    config = WandbLoggerConfig(mode=WandbMode.offline)
    with pytest.warns(UserWarning, match=r"did not start \(no room\); only history\.jsonl is written"):
        assert start_tracking(config, identity(tmp_path)) is None


@pytest.mark.slow
def test_a_name_that_wandb_refuses_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    config = WandbLoggerConfig(mode=WandbMode.offline, project="a/b")
    with pytest.raises(ConfigurationError, match=r"logger=wandb is refused by Weights & Biases: .*project"):
        start_tracking(config, identity(tmp_path))


def test_nothing_is_told_where_nothing_is_tracked(tmp_path: Path) -> None:
    log_scores("test", {"test/bleu": 1.0})
    log_checkpoint(tmp_path / "best.ckpt", "abc")
    finish_tracking(0)
    assert wandb.run is None


def test_the_tracked_run_of_an_evaluation_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = replace(identity(tmp_path), job_type=JobType.evaluate, part="12345678")
    begun: dict[str, Any] = {}
    ended: list[int] = []

    def init(**options: Any) -> mock.Mock:
        begun.update(options)
        monkeypatch.setattr(wandb, "run", mock.Mock(finish=lambda exit_code: ended.append(exit_code)))
        return wandb.run  # type: ignore[return-value]

    monkeypatch.setattr(wandb, "init", init)
    config = WandbLoggerConfig(mode=WandbMode.offline)
    with pytest.raises(RuntimeError, match="out of luck"), tracked_evaluation(config, made):
        assert is_tracking()
        raise RuntimeError("out of luck")
    assert (begun["job_type"], begun["id"], ended) == ("evaluate", "abcdef012345-12345678", [1])
    with tracked_evaluation(config, made):  # within a run that is tracked already it is no other
        assert ended == [1]
    assert ended == [1]
    monkeypatch.setattr(wandb, "run", None)
    with tracked_evaluation(NoLoggerConfig(), made):
        assert not is_tracking()


def test_what_the_tracker_cannot_take_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        summary: dict[str, float]

        def finish(self, exit_code: int) -> None:
            raise OSError("gone")

    monkeypatch.setattr(wandb, "run", Broken())
    with pytest.warns(UserWarning, match="did not take its end: gone"):
        finish_tracking(0)


@pytest.mark.parametrize(
    ("asked", "environment", "key", "expected"),
    [
        (WandbMode.auto, None, KEY, "online"),
        (WandbMode.auto, "offline", KEY, "offline"),
        (WandbMode.auto, "disabled", KEY, "disabled"),
        (WandbMode.offline, None, KEY, "offline"),
        (WandbMode.online, "offline", KEY, "online"),
    ],
)
def test_it_is_online_where_a_key_is_and_nobody_objects(
    asked: WandbMode, environment: str | None, key: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if environment is not None:
        monkeypatch.setenv("WANDB_MODE", environment)
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert wandb_mode(WandbLoggerConfig(mode=asked)) == expected


def test_tags_are_short_and_single_and_hold_no_key() -> None:
    assert tags(["a", "a", "x" * 100, f"logger.api_key={KEY}", ""]) == ["a", "x" * LONGEST_TAG]


def test_settings_that_track_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"logger\.samples is -1; it must be at least 0"):
        WandbLoggerConfig(samples=-1)
    with pytest.raises(ConfigurationError, match=r"logger\.timeout is 0\.0; it must be above 0 seconds"):
        WandbLoggerConfig(timeout=0.0)
