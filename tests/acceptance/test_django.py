"""A real Django project: ``manage.py hubq worker``, three servers in front, and all workers replaced under requests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .sites import Site, customers, sites

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
        assert process.stderr is not None
        for line in process.stderr:
            if f"hubq worker {name}: " in line:
                reader = threading.Thread(target=process.stderr.read)
                reader.start()
                self._readers.append(reader)
                return process
        raise AssertionError("the worker did not start")

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
