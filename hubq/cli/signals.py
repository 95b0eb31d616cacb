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
#: What comes so soon after the first one is the same wish: Ctrl-C reaches all processes of a terminal, whose parent (honcho, npm,
#: timeout) tells them once more. Seconds.
SAME_WISH = 0.5


def on_first_signal(name: str, what: str) -> asyncio.Event:
    """An event that the first SIGTERM or Ctrl-C sets. A later one, ``SAME_WISH`` seconds after that, ends the process at once."""
    asked, loop, first = asyncio.Event(), asyncio.get_running_loop(), 0.0

    def on_signal(number: signal.Signals) -> None:
        nonlocal first
        if asked.is_set():
            if loop.time() < first + SAME_WISH:
                return
            log.warning("second signal: worker %s ends at once", name)
            logging.shutdown()
            os._exit(128 + number)
        log.info("%s: worker %s %s", number.name, name, what)
        first = loop.time()
        asked.set()

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
