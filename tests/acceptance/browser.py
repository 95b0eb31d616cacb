"""A real browser, driven over its own debugging protocol: https://chromedevtools.github.io/devtools-protocol/"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from websockets.sync.client import connect

#: Under which names Chromium is installed.
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where Chromium is; None: it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Chromium without a window, with one page."""

    def __init__(self, path: str, profile: Path, url: str) -> None:
        self._process = subprocess.Popen(
            [
                path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            ],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
                break
        else:
            raise AssertionError(f"chromium did not start: {''.join(said)}")
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()  # what it goes on to say is not to fill the pipe
        asked = urllib.request.Request(f"http://{found[1]}/json/new?{quote(url, safe='')}", method="PUT")
        with urllib.request.urlopen(asked, timeout=20) as answer:
            found_page = json.load(answer)["webSocketDebuggerUrl"]
        self._open = ExitStack()
        self._page = self._open.enter_context(connect(found_page, max_size=None))
        self._asked = 0

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        self._asked += 1
        self._page.send(
            json.dumps(
                {
                    "id": self._asked,
                    "method": "Runtime.evaluate",
                    "params": {"expression": script, "returnByValue": True, "awaitPromise": True},
                }
            )
        )
        while (answer := json.loads(self._page.recv(timeout=20))).get("id") != self._asked:
            pass
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    def close(self) -> None:
        """End it."""
        self._open.close()
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)
        assert self._process.stderr is not None
        self._process.stderr.close()
