"""The signals that end a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

log = logging.getLogger("hubq.worker")

#: What ends a worker.
ENDING = (signal.SIGTERM, signal.SIGINT)
#: How often they are looked at: code of a child, or a library that it uses, may have taken them, seconds.
LOOK_EVERY = 1.0


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

    def hear() -> dict[signal.Signals, object]:
        for number in ENDING:
            loop.add_signal_handler(number, on_signal, number)
        return {number: signal.getsignal(number) for number in ENDING}

    heard = hear()
    wakes = signal.set_wakeup_fd(-1)  # how the loop learns of a signal (there is no other way to ask for it)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def look() -> None:
        nonlocal heard
        taken = [number.name for number in ENDING if signal.getsignal(number) != heard[number]]
        if signal.set_wakeup_fd(wakes, warn_on_full_buffer=False) != wakes or taken:
            log.error(
                "code of a child has taken %s from worker %s: they end it again. Leave the signals of a worker to hubq",
                " and ".join(taken) or "its signals", name,
            )  # fmt: skip
            heard = hear()
        loop.call_later(LOOK_EVERY, look)

    loop.call_later(LOOK_EVERY, look)
    return asked
