"""Writes the captures of docs/guide-operating.md from a live hub: what the commands print there.

python docs/make_captures.py           starts a Redis and three workers, puts load on them, and writes the page
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide-operating.md"
CAPTURE = re.compile(r"(<!-- capture: (.*?) -->\n)```text\n.*?```\n", re.DOTALL)
APP = "workers.chat:hub"


def main() -> int:
    """Write the page; the exit code."""
    sys.path.insert(0, str(ROOT))
    from hubq.store.embedded import EmbeddedServer

    with EmbeddedServer() as server:
        environment = {**os.environ, "HUBQ_REDIS_URL": server.url, "COLUMNS": "110"}
        workers = [start(environment, name) for name in ("web1", "web2", "web3")]
        done = threading.Event()
        load = threading.Thread(target=talk, args=[server.url, done])
        load.start()
        try:
            wait_for(server.url, {"web1", "web2", "web3"})
            workers[2].send_signal(signal.SIGKILL)
            workers.append(start(environment, "web4"))
            wait_for(server.url, {"web1", "web2", "web4"})
            text = CAPTURE.sub(lambda found: captured(found, environment), PAGE.read_text(encoding="utf-8"))
            PAGE.write_text(text, encoding="utf-8")
        finally:
            done.set()
            load.join()
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
    return 0


def start(environment: dict[str, str], name: str) -> subprocess.Popen[bytes]:
    """A worker, in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "hubq", "worker", APP, "--name", name],
        cwd=ROOT, env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_for(url: str, names: set[str]) -> None:
    """Wait until these workers, and no others, have served for some seconds."""
    from hubq import Hub

    hub = Hub("rooms", redis=url)
    while {node.name for node in hub.nodes() if node.shards and node.uptime > 4.0} != names or len(hub.nodes()) != 3:
        time.sleep(0.1)
    hub.close()


def talk(url: str, done: threading.Event) -> None:
    """Rooms, and posts to them; one room has more to read than it can."""
    from hubq import ChildSpec, Hub
    from workers.chat import Room

    hub = Hub("rooms", redis=url)
    specs = [ChildSpec(f"room-{n}", Room, metadata={"tag": "vip"} if n % 10 == 0 else {}) for n in range(200)]
    hub.start_children(specs).result(timeout=30)
    n = 0
    while not done.is_set():
        for _ in range(20):
            n += 1
            hub.ref(f"room-{n % 200 if n % 3 else 7}").cast("post", "ann", f"post {n}")
        done.wait(0.02)
    hub.close()


def captured(found: re.Match[str], environment: dict[str, str]) -> str:
    """One capture anew."""
    command = found[2].split()
    printed = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return f"{found[1]}```text\n$ {found[2]}\n{printed.stdout.rstrip()}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
