"""A process that has imported everything and forks a worker per request, so that a run costs no imports.

    python -m tests.faults.zygote

Reads one request per line from standard input, {"job", "ranks", "crash_at", "signal", "after", "victims", "log"}, and
answers each with one line: {"statuses", "seconds", "hits"}. Ranks of a job of several devices meet at a port of their
own, as torchrun would arrange it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore

from seq2seq_lightning import crash_points, worker

IMPATIENT = 300.0  # seconds after which a hang is one


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork the ranks, disturb them as asked, and wait for all of them."""
    ranks = request.get("ranks", 1)
    port = _free_port() if ranks > 1 else 0
    began = time.monotonic()
    children = [_fork(request, rank, ranks, port) for rank in range(ranks)]
    # torchrun's place: a store that outlives every rank; made when all are forked, for it has a thread of its own
    store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False) if ranks > 1 else None
    statuses: dict[int, int] = {}
    to_send = request.get("signal")
    while len(statuses) < ranks:
        for rank, child in enumerate(children):
            if rank in statuses:
                continue
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                statuses[rank] = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        if (to_send is not None and seconds >= request["after"]) or seconds > IMPATIENT:
            for rank in range(ranks) if seconds > IMPATIENT else request.get("victims", range(ranks)):
                if rank not in statuses:
                    os.kill(children[rank], signal.SIGKILL if seconds > IMPATIENT else to_send)
            to_send = None
        time.sleep(0.002)
    del store
    hits = Path(f"{request['log']}.hits")
    return {
        "statuses": [statuses[rank] for rank in range(ranks)],
        "seconds": time.monotonic() - began,
        "hits": json.loads(hits.read_text()) if hits.exists() else {},
    }


def _fork(request: dict[str, Any], rank: int, ranks: int, port: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = _work(request, rank, ranks, port)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _work(request: dict[str, Any], rank: int, ranks: int, port: int) -> int:
    log = os.open(f"{request['log']}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if ranks > 1:
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in world.items()})
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "zygote"}
        os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    crash_points.arm(request.get("crash_at"))
    status = worker.main([request["job"]])
    if crash_points.is_armed():
        Path(f"{request['log']}.hits").write_text(json.dumps(crash_points.hits))
    return status


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
