"""Records docs/pictures/kill.svg: a child counts, its worker is killed with SIGKILL, and the count goes on at another worker.

python docs/pictures/record_kill.py     starts a Redis and two workers, and writes what is seen. Nothing in it is made up.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
APP = """import asyncio

from hubq import Child, Hub, read

hub = Hub("demo")


@hub.child
class Counter(Child):
    def __init__(self):
        self.total = 0

    async def run(self):
        while True:
            await asyncio.sleep(0.5)
            self.total += 1
            await self.commit()

    @read
    async def seen(self):
        return self.total
"""
#: How far it counts at the first worker, and at the second one.
BEFORE, AFTER = 6, 12


class Recording:
    """What a terminal shows, and when each line came."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(record=True, width=76, force_terminal=True, file=io.StringIO())
        self.times: list[float] = []
        self._began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """One line, now."""
        self.console.print(text, style=style, highlight=False)
        self.times.append(time.monotonic() - self._began)
        print(text)

    def svg(self) -> str:
        """The picture: each line appears when it came."""
        picture = self.console.export_svg(title="a worker is killed; its child goes on")
        unique = re.search(r'id="([\w-]+)-line-0"', picture)
        assert unique is not None
        for number, at in enumerate(self.times):
            line = f'clip-path="url(#{unique[1]}-line-{number})"'
            picture = picture.replace(line, f'{line} style="animation:appear 1ms {at:.2f}s both"')
        picture = re.sub(
            r"@font-face \{.*?\}\n", "", picture, flags=re.DOTALL
        )  # (from elsewhere: a picture asks nobody)
        appear = "@keyframes appear { from { opacity: 0 } to { opacity: 1 } }\n"
        still = "@media (prefers-reduced-motion: reduce) { text { animation: none !important } }\n"
        return picture.replace("<style>", f"<style>\n{appear}{still}", 1)


def main() -> int:
    """Record it; the exit code."""
    from hubq.store.embedded import EmbeddedServer

    with tempfile.TemporaryDirectory() as folder, EmbeddedServer() as server:
        Path(folder, "app.py").write_text(APP, encoding="utf-8")
        os.environ["HUBQ_REDIS_URL"] = server.url
        sys.path.insert(0, folder)
        from app import Counter, hub  # type: ignore[import-not-found]

        workers = {name: worker(folder, name) for name in "ab"}
        try:
            while len(hub.nodes()) < 2 or hub.is_locked():
                time.sleep(0.1)
            time.sleep(2.0)  # the shards are settled
            record(hub, Counter, workers)
        finally:
            for each in workers.values():
                each.kill()
                each.wait()
            hub.close()
    return 0


def worker(folder: str, name: str) -> subprocess.Popen[bytes]:
    """A worker, in the background."""
    command = [sys.executable, "-m", "hubq", "worker", "app:hub", "--name", name]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)


def record(hub, kind, workers) -> None:  # type: ignore[no-untyped-def]
    """Watch the count, kill its worker, watch on."""
    shown = Recording()
    shown.say("$ hubq worker app:hub --name a &", "bold")
    shown.say("$ hubq worker app:hub --name b &", "bold")
    shown.say("$ hubq start app:hub ann Counter", "bold")
    node = hub.start_child("ann", kind).result().node
    shown.say(f"ann: running on {node}")
    other = "b" if node == "a" else "a"
    watch(hub, shown, node, BEFORE)
    workers[node].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    shown.say(f"$ kill -9 {workers[node].pid}        # the worker {node}, and all that is in its memory", "bold red")
    pause = watch(hub, shown, other, AFTER)
    shown.say(f"nothing was lost: ann went on {pause - killed:.1f} s after the kill", "bold green")
    (HERE / "kill.svg").write_text(shown.svg(), encoding="utf-8")


def watch(hub, shown: Recording, node: str, until: int) -> float:  # type: ignore[no-untyped-def]
    """Say each new count; when the first of them came."""
    last, first = -1, 0.0
    colour = "cyan" if node == "a" else "magenta"
    while last < until:
        total = hub.ref("ann").call("seen", timeout=30)
        if total > last and hub.where("ann").node == node:
            last, first = total, first or time.monotonic()
            shown.say(f"ann counts {total:>3}   on {node}", colour)
        time.sleep(0.05)
    return first


if __name__ == "__main__":
    raise SystemExit(main())
