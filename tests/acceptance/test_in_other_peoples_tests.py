"""hubq in a fresh environment beside pytest and Django, and nothing else: their tests run as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.acceptance, pytest.mark.long]

DJANGO_TEST = """
import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()


def test_theirs():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_plugin_imports_nothing_that_nobody_asked_for():
    import sys

    assert "hubq.contrib.pytest" in sys.modules, "the plugin is not installed"
    assert not {"redis", "rq", "typer", "fakeredis", "hubq.client.hub", "hubq.testing"} & set(sys.modules)
"""
OURS = "def test_with_a_fixture(hubq_server): pass\n"


def ran(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(400)
def test_pip_install_hubq_breaks_nobodys_pytest(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    ran(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, cwd=tmp_path)
    (wheel,) = wheels.glob("hubq-*.whl")
    ran(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    ran(python, "-m", "pip", "--disable-pip-version-check", "-q", "install", wheel, "pytest", "django", cwd=tmp_path)
    (tmp_path / "test_theirs.py").write_text(DJANGO_TEST)
    assert "2 passed" in ran(python, "-m", "pytest", "-q", "-W", "error", "test_theirs.py", cwd=tmp_path)
    (tmp_path / "test_ours.py").write_text(OURS)
    said = ran(python, "-m", "pytest", "-q", "test_ours.py", cwd=tmp_path, code=1)
    assert "FakeServer needs fakeredis: pip install 'hubq[testing]'" in said
    assert "Traceback" not in said and "ModuleNotFoundError" not in said
    assert ran(tmp_path / "venv" / "bin" / "hubq", "--version", cwd=tmp_path).startswith("hubq ")
    worker = ran(tmp_path / "venv" / "bin" / "hubq", "worker", "--help", cwd=tmp_path)
    assert "Run a worker" in worker
