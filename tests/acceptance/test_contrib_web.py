"""hubq.contrib in Flask under gunicorn (prefork) and in FastAPI under uvicorn: the worker is replaced, and no request fails."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from hubq import Hub

from .conftest import APPS
from .sites import Site, customers, sites

if TYPE_CHECKING:
    from .conftest import Shell, WorkerProcess

pytest.importorskip("flask")
pytest.importorskip("fastapi")
__all__ = ["sites"]  # a fixture
pytestmark = [pytest.mark.acceptance, pytest.mark.long]

FLASK = ("gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "shop_web:flask_app")
FASTAPI = ("uvicorn", "--port", "{port}", "--log-level", "warning", "shop_web:fastapi_app")
#: Requests at the same time.
CUSTOMERS = 3


def worker(shell: Shell, name: str) -> WorkerProcess:
    """A worker as the guide starts it in a Flask app. (The hub is the same for both.)"""
    made = shell.spawn("--name", name, program=("flask", "--app", "shop_web:flask_app", "hubq"))
    made.wait_line(f"hubq worker {name}: ")
    return made


@pytest.mark.parametrize("command", [FLASK, FASTAPI], ids=["flask", "fastapi"])
def test_a_worker_is_replaced_under_requests(
    shell: Shell, hub: Hub, sites: list[Site], command: tuple[str, ...]
) -> None:
    first = worker(shell, "a")
    site = Site(shell, *command, cwd=APPS)
    sites.append(site)
    counts, bad = [0] * CUSTOMERS, list[tuple[int, Any]]()

    def order(n: int) -> None:
        counts[n] += 1
        answer = site.request("POST", f"/carts/c{n}")
        if answer != (200, counts[n]):
            bad.append(answer)

    with customers(CUSTOMERS, order):
        worker(shell, "b")
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
    assert bad == [], "none failed, none was handled twice"
    assert min(counts) > 10
    assert {node.name for node in hub.nodes()} == {"b"}
    assert hub.ref("c0").call("shop") == "the shop", "handlers are in the app context of Flask"
    status, body = site.request("POST", f"/carts/{'x' * 999}")
    assert status == 404 and b"there is no such child" in body
