"""A real Django project: ``manage.py hubq worker``, three servers in front, and all workers replaced under requests."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from .sites import ROOT, Site, customers, sites

if TYPE_CHECKING:
    from conftest import Shell

pytest.importorskip("django")
__all__ = ["sites"]  # a fixture
pytestmark = [pytest.mark.acceptance, pytest.mark.long]

FILES = {
    "manage.py": '''
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
''',
    "shop/__init__.py": "",
    "shop/settings.py": '''
import os
from pathlib import Path
SECRET_KEY = "a test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["hubq.contrib.django", "carts"]
MIDDLEWARE = ["hubq.contrib.django.ErrorMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db.sqlite3"}}
HUBQ = {"HUB_ID": os.environ["HUBQ_TEST_HUB"], "REDIS": os.environ["HUBQ_REDIS_URL"], "LEASE": 2.0, "LEASE_MARGIN": 0.5}
''',
    "shop/wsgi.py": '''
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
''',
    "shop/asgi.py": '''
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.asgi import get_asgi_application
application = get_asgi_application()
''',
    "shop/urls.py": '''
from django.http import JsonResponse
from django.urls import path
from carts.children import Cart, hub

def add(request, name, product):
    return JsonResponse({"items": hub.ref(Cart, name).call(Cart.add, product)})

async def aadd(request, name, product):
    return JsonResponse({"items": await hub.aio.ref(Cart, name).call(Cart.add, product)})

urlpatterns = [path("carts/<name>/<int:product>", add), path("async/<name>/<int:product>", aadd)]
''',
    "carts/__init__.py": "",
    "carts/models.py": '''
from django.db import models

class Product(models.Model):
    name = models.CharField(max_length=20)
''',
    "carts/children.py": '''
from hubq import Child
from hubq.contrib.django import hub
from carts.models import Product

@hub.child
class Cart(Child):
    def __init__(self):
        self.items = []

    def add(self, product):
        self.items.append(Product.objects.get(pk=product).name)
        return len(self.items)

    async def contents(self):
        return self.items
''',
}  # fmt: skip


@pytest.fixture
def project(shell: Shell, tmp_path: Path) -> Iterator[Project]:
    made = Project(shell, tmp_path)
    yield made
    made.close()


def reader_of_joined(process: subprocess.Popen[str], name: str) -> threading.Thread:
    """Wait until a worker has joined; the thread reads what else it says."""
    assert process.stderr is not None
    for line in process.stderr:
        if f"hubq worker {name}: " in line:
            reader = threading.Thread(target=process.stderr.read)
            reader.start()
            return reader
    raise AssertionError("the worker did not start")


class Project:
    """The project on disk, its web server and its workers."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.folder = folder
        self.environment = {**shell.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self.manage("makemigrations", "carts")
        self.manage("migrate")
        self.manage("shell", "-c", "from carts.models import Product; Product.objects.create(name='tea')")

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **more}
        return subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def manage(self, *words: str) -> str:
        done = self.run("manage.py", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def worker(self, name: str) -> subprocess.Popen[str]:
        """A worker that has joined."""
        process = self.begin("manage.py", "hubq", "worker", "--name", name)
        self._readers.append(reader_of_joined(process, name))
        return process

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)
        for reader in self._readers:
            reader.join()
        for process in self._processes:
            if process.stderr is not None:
                process.stderr.close()


SERVERS = {
    "gunicorn": ["gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "shop.wsgi"],
    "uvicorn": ["uvicorn", "--port", "{port}", "--log-level", "warning", "shop.asgi:application"],
    "runserver": ["django", "runserver", "127.0.0.1:{port}", "--settings", "shop.settings", "--pythonpath", "."],
}


@pytest.mark.parametrize("server", SERVERS)
def test_workers_are_replaced_under_requests(server: str, project: Project, shell: Shell, sites: list[Site]) -> None:
    first = project.worker("a")
    site = Site(shell, *SERVERS[server], cwd=project.folder)
    sites.append(site)
    assert site.request("GET", "/carts/none/1") == (
        404,
        b'{"error": "UnknownChild", "detail": "there is no such child"}',
    )
    project.manage("hubq", "start", "ann", "Cart")
    statuses: list[int] = []
    views = ["/carts/ann/1", "/async/ann/1"]
    with customers(2, lambda n: statuses.append(site.request("GET", views[n])[0])):
        project.worker("b")
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
        third = project.worker("c")
    assert set(statuses) == {200} and len(statuses) > 20
    assert third.poll() is None
    items = json.loads(project.manage("hubq", "call", "ann", "contents"))
    assert items == ["tea"] * len(statuses), "each request put one thing in, and none twice"


def form_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def log_in(client: httpx.Client, name: str, where: str) -> httpx.Response:
    """As a browser does: the page asks, the form is sent, and one is led back."""
    asked = client.get(where, follow_redirects=True)
    assert asked.url.path == "/admin/login/", asked.url
    return client.post(
        asked.url,
        data={"csrfmiddlewaretoken": form_token(asked.text), "username": name, "password": "secret", "next": where},
        headers={"Referer": str(asked.url)},
        follow_redirects=True,
    )


def test_the_web_view_knows_who_is_logged_in_to_the_admin(shell: Shell, sites: list[Site], tmp_path: Path) -> None:
    environment = {
        **shell.environment,
        "DJANGO_SETTINGS_MODULE": "examples.carts_django.settings",
        "CARTS_DATABASE": str(tmp_path / "carts.sqlite3"),
        "CARTS_HUB": shell.hub_id,
    }

    def manage(*words: str, **more: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "django", *words], cwd=ROOT, env={**environment, **more}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    manage("migrate")
    for name, kind in (("ann", "is_superuser"), ("bob", "is_staff"), ("cleo", "is_active")):
        flags = "is_staff=True, is_superuser=True" if kind == "is_superuser" else f"{kind}=True"
        manage(
            "shell",
            "-c",
            f"from django.contrib.auth.models import User; User.objects.create_user({name!r}, password='secret', {flags})",
        )
    worker = subprocess.Popen(
        [sys.executable, "-m", "django", "hubq", "worker", "--name", "a"], cwd=ROOT, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    reader = reader_of_joined(worker, "a")
    site = Site(
        shell, "uvicorn", "--port", "{port}", "--log-level", "warning", "--timeout-graceful-shutdown", "1",
        "examples.carts_django.asgi:application", environment=environment,
    )  # fmt: skip
    sites.append(site)
    base = f"http://127.0.0.1:{site.port}"
    try:
        with httpx.Client(base_url=base, timeout=60) as ann, httpx.Client(base_url=base, timeout=60) as bob:
            assert ann.post("/carts/x/tea").json() == {"items": ["tea"]}
            assert ann.get("/hubq/api/hub").status_code == 401
            view = log_in(ann, "ann", "/hubq/child?id=x")
            assert view.url.path == "/hubq/child" and "[&#39;tea&#39;]" in view.text and "ann, operator" in view.text
            admin = ann.get("/admin/").text
            link = re.search(r'<a href="([^"]+)">Web view of the hub</a>', admin)
            assert link is not None and "shards in Redis" in ann.get(link[1]).text
            token = ann.cookies["hubq_csrf"]
            call = {"id": "x", "method": "add", "args": ["cake"]}
            headers = {"X-HubQ-CSRF": token, "Origin": base}
            done = ann.post("/hubq/api/child/call", json=call, headers=headers)
            assert done.json()["result"] == ["tea", "cake"], done.text
            events = ann.get("/hubq/api/events?type=operator_acted").json()["events"]
            assert [each["fields"]["who"] for each in events] == ["ann"]

            assert "bob, viewer" in log_in(bob, "bob", "/hubq/").text
            refused = bob.post(
                "/hubq/api/child/call", json=call, headers={"X-HubQ-CSRF": bob.cookies["hubq_csrf"], "Origin": base}
            )
            assert refused.status_code == 403 and "viewer" in refused.json()["detail"]
            bob.post("/admin/logout/", data={"csrfmiddlewaretoken": form_token(bob.get("/admin/").text)})
            left = bob.get("/hubq/")
            assert left.status_code == 303 and left.headers["location"] == "/admin/login/?next=%2Fhubq%2F"
            assert "please enter the correct" in log_in(bob, "cleo", "/hubq/").text.lower()  # no staff
            assert bob.get("/hubq/api/hub").status_code == 401
    finally:
        worker.terminate()
        worker.wait(30)
        reader.join()
        assert worker.stderr is not None
        worker.stderr.close()


def test_the_plain_command_says_what_it_needs(project: Project) -> None:
    done = project.run("-m", "hubq", "ps", "carts.children:hub")
    assert done.returncode == 2 and "set DJANGO_SETTINGS_MODULE" in done.stderr and len(done.stderr.splitlines()) == 1
    done = project.run("-m", "hubq", "ps", "carts.children:hub", DJANGO_SETTINGS_MODULE="shop.settings")
    assert done.returncode == 0, done.stderr
    settings = project.folder / "shop/settings.py"
    settings.write_text(settings.read_text() + "HUBQ['SHARD'] = 3\n")
    done = project.run("manage.py", "check")
    assert "settings.HUBQ has an unknown key 'SHARD': did you mean 'SHARDS'?" in done.stderr
    done = project.run("manage.py", "hubq", "ps")
    assert done.returncode == 2 and "unknown key 'SHARD'" in done.stderr and len(done.stderr.splitlines()) == 1
