"""A terminal of 80 by 24 with a command in it: what it writes, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x07\x0f]")


class Terminal:
    """``hubq`` with these arguments, in the foreground of a terminal of its own."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        without = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hubq", *arguments], cwd=cwd, env={**without, "TERM": "xterm-256color"},
            stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self._written = b""

    @property
    def plain(self) -> str:
        """All that was written so far, without escape sequences."""
        return ESCAPES.sub("", self._written.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, pattern: str, timeout: float = 60.0) -> None:
        """Read on until this has been written."""
        until = time.monotonic() + timeout
        while not re.search(pattern, self.plain):
            assert time.monotonic() < until, f"no {pattern!r} within {timeout:g} s in:\n{self.plain}"
            assert self._read(until - time.monotonic()), f"it ended without {pattern!r}:\n{self.plain}"

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def end(self, timeout: float = 120.0) -> int:
        """Read to its end; its exit code."""
        until = time.monotonic() + timeout
        try:
            while self._read(until - time.monotonic()):
                assert time.monotonic() < until, f"not ended within {timeout:g} s:\n{self.plain}"
            return self._process.wait(10)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def _read(self, timeout: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, timeout))[0]:
            return True
        try:
            part = os.read(self._ours, 65536)
        except OSError:
            return False  # the other end is closed
        self._written += part
        return bool(part)


def too_wide(written: str) -> list[str]:
    """The lines that a terminal of 80 columns would break. A lone carriage return draws a line over the one before it."""
    return [line for line in re.split("[\r\n]", written) if len(line) > 80]
