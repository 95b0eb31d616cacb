"""The signals that end a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

log = logging.getLogger("hubq.worker")


def on_first_signal(name: str, what: str) -> asyncio.Event:
    """An event that the first SIGTERM or Ctrl-C sets. The second signal ends the process at once."""
    asked = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            log.warning("second signal: worker %s ends at once", name)
            logging.shutdown()
            os._exit(128 + number)
        log.info("%s: worker %s %s", number.name, name, what)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return asked
