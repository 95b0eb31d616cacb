"""A virtual environment for each peer, made once and kept in the cache directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "hubq-benchmarks")
HERE = Path(__file__).resolve().parent / "peers"
#: How long pip may take for one peer, seconds.
INSTALL_TIMEOUT = 300.0


@dataclass(frozen=True)
class Peer:
    """What to install, how its worker is started, how many jobs a round has, and how it was set up."""

    name: str
    packages: tuple[str, ...]
    worker: tuple[str, ...]
    jobs: int
    setting: str

    @property
    def directory(self) -> Path:
        """Its environment."""
        return CACHE / self.name

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.directory / "bin" / "python")


PEERS = (
    Peer("rq", ("rq",), ("rq_peer.py",), 500, "SimpleWorker, result_ttl=0"),
    Peer(
        "celery", ("celery[redis]",),
        ("-m", "celery", "-A", "celery_peer", "worker", "--pool", "solo", "--loglevel", "ERROR",
         "--without-gossip", "--without-mingle", "--without-heartbeat"),
        1500, "pool solo, results ignored, no gossip, mingle, heartbeat; prefetch 64",
    ),
    Peer(
        "dramatiq", ("dramatiq[redis]",),
        ("-m", "dramatiq", "dramatiq_peer", "--processes", "1", "--threads", "8"),
        2000, "1 process, 8 threads, no results",
    ),
    Peer("arq", ("arq",), ("-m", "arq", "arq_peer.WorkerSettings"), 1500, "poll_delay 5 ms, max_jobs 100, keep_result 0"),
    Peer(
        "taskiq", ("taskiq", "taskiq-redis"), ("-m", "taskiq", "worker", "taskiq_peer:broker", "--workers", "1",
         "--log-level", "ERROR"),
        2000, "streams, 1 worker process, no results",
    ),
    Peer("saq", ("saq[redis,hiredis]", "typing_extensions"), ("-m", "saq", "saq_peer.settings"), 1500, "concurrency 10, ttl -1"),
    Peer("streaq", ("streaq",), ("-m", "streaq", "run", "streaq_peer:worker"), 1000, "results not kept"),
)  # fmt: skip


def installed(peer: Peer) -> str:
    """Make its environment if there is none; the versions in it. Raises ``RuntimeError`` with pip's last line."""
    marker = peer.directory / "installed"
    wanted = " ".join(peer.packages)
    if not marker.exists() or marker.read_text() != wanted:
        _run([sys.executable, "-m", "venv", "--clear", str(peer.directory)])
        _run([peer.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages, "redis"])
        marker.write_text(wanted)
    names = [package.partition("[")[0] for package in (*peer.packages, "redis")]
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return _run([peer.python, "-c", code, *names]).strip()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")
    return done.stdout
