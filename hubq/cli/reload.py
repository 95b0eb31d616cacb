"""``hubq worker --reload``: restarts the worker when a source file changes. Its children keep their state."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from hubq.cli.processes import environment
from hubq.errors import ConfigError

try:
    from watchfiles import PythonFilter, watch
except ImportError as missing:
    raise ConfigError(f"--reload needs {missing.name}: pip install 'hubq[reload]'") from None

log = logging.getLogger("hubq.worker")

#: After this many milliseconds without a change it is looked whether the worker is still there.
LOOK_AFTER = 1000


def run_reloading(arguments: Sequence[str], directory: Path, redis: str | None) -> int:
    """Run ``hubq worker`` with these arguments (and ``--redis``), and again after each change of a ``.py`` file below ``directory``.

    Returns the exit code of the last worker. A worker that ended by itself, because the code is broken, is started again
    at the next change.
    """
    stop = threading.Event()
    known = environment(redis)
    worker = _start(arguments, known)

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        if worker.poll() is None:
            worker.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it logs each change, too
    told = False
    for changes in watch(
        directory, watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False,
        rust_timeout=LOOK_AFTER, yield_on_timeout=True,
    ):  # fmt: skip
        if not changes:
            if worker.poll() is not None and not told and not stop.is_set():
                told = True
                log.info("the worker has ended (exit code %s): it is started again at the next change", worker.poll())
            continue
        told = False
        names = sorted({Path(path).name for _, path in changes})
        log.info("%s changed: restarting the worker", ", ".join(names[:3]))
        if worker.poll() is None:
            worker.terminate()
            worker.wait()
        if stop.is_set():
            break
        worker = _start(arguments, known)
    return worker.wait()


def _start(arguments: Sequence[str], known: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # Its own session: else Ctrl-C would reach it twice, from the terminal and from this process.
    return subprocess.Popen([sys.executable, "-m", "hubq", "worker", *arguments], env=known, start_new_session=True)
