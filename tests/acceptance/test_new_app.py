"""A new app, as its author begins it: hubq init, its test, hubq dev, a change of the code; then the hub is deleted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubq.cli.dev import a_redis, a_web_view
from hubq.errors import ConfigError
from hubq.store.embedded import EmbeddedServer, answers_ping, free_port, is_free

pytestmark = [pytest.mark.acceptance]

WITHOUT_REDIS = {name: value for name, value in os.environ.items() if name != "HUBQ_REDIS_URL"}


def hubq(*arguments: str | Path, cwd: Path, code: int = 0, redis: str | None = None, says: str = "") -> str:
    known = {**WITHOUT_REDIS, **({"HUBQ_REDIS_URL": redis} if redis else {})}
    done = subprocess.run(
        [sys.executable, "-m", "hubq", *map(str, arguments)],
        cwd=cwd, env=known, input=says, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


@pytest.mark.long
@pytest.mark.timeout(400)  # it runs pytest, and hubq six times: a busy machine takes long to start them
def test_from_init_to_delete_hub(tmp_path: Path) -> None:
    assert "run it: cd shop && hubq dev app:hub" in hubq("init", "shop", cwd=tmp_path)
    shop = tmp_path / "shop"
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=shop, check=True, timeout=200)
    dev = subprocess.Popen(
        [sys.executable, "-m", "hubq", "dev", "app:hub", "--jobs", "0"],
        cwd=shop, env=WITHOUT_REDIS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert dev.stdout is not None
        seen: list[str] = []

        def line(pattern: str) -> re.Match[str]:
            assert dev.stdout is not None
            for each in dev.stdout:
                seen.append(each)
                if match := re.search(pattern, each):
                    return match
            raise AssertionError(f"no {pattern!r} in {seen}")

        redis = line(r"Redis of this app: (redis://127.0.0.1:\d+/0)")[1]
        if not any("http://127.0.0.1:" in each for each in seen):
            line("http://127.0.0.1:")  # the web view
        hubq("start", "app:hub", "ann", "Counter", cwd=shop, redis=redis)
        assert hubq("call", "shop", "ann", "add", "2", cwd=shop, redis=redis) == "2\n"
        app = shop / "app.py"
        app.write_text(app.read_text().replace("self.total += number", "self.total += 10 * number"))
        line("app.py changed: restarting the worker")
        line("node dev is ready")
        assert hubq("call", "shop", "ann", "add", "2", cwd=shop, redis=redis) == "22\n"
        assert hubq("hubs", cwd=shop, redis=redis).splitlines()[1].split() == ["shop", "64", "dev"]
        assert "is served by dev: hubq drain them first" in hubq(
            "delete-hub", "shop", "--yes", cwd=shop, redis=redis, code=1
        )
        dev.send_signal(signal.SIGINT)
        assert dev.wait(30) == 0, seen
    finally:
        dev.kill()
        dev.communicate()
    assert not answers_ping(int(redis.split(":")[2].split("/")[0])), "its Redis has ended with it"


def test_what_init_says_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    assert "run it: cd 'my shop' && hubq dev" in hubq("init", "my shop", cwd=tmp_path)


def test_what_is_missing_for_a_web_view_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hubq.cli.dev.WEB", ("jinja2", "nowhere"))
    with a_web_view("app:hub", None):
        pass
    assert capsys.readouterr().out == "no web view: pip install 'hubq[web]'\n"


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("mine")
    line = hubq("init", cwd=tmp_path, code=2)
    assert "app.py is there already" in line and "nothing was written" in line
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"app.py": "mine"}
    assert "hub id" in hubq("init", "there", "--hub", "no way", cwd=tmp_path, code=2)
    assert not (tmp_path / "there").exists()


@pytest.mark.long
def test_delete_hub_asks(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from hubq import Child, Hub\nhub = Hub('old')\n@hub.child\nclass C(Child): ...\ndef work(): ...\n"
        "if __name__ == '__main__':\n    hub.start_child('c', C); hub.enqueue('app.work'); hub.enqueue_in(60, 'app.work')\n"
    )
    with EmbeddedServer() as server:
        assert "no hub 'old' in Redis" in hubq("delete-hub", "app:hub", "--yes", cwd=tmp_path, redis=server.url, code=1)
        known = {**WITHOUT_REDIS, "HUBQ_REDIS_URL": server.url}
        subprocess.run([sys.executable, "app.py"], cwd=tmp_path, env=known, check=True, timeout=60)
        line = hubq("delete-hub", "old", cwd=tmp_path, redis=server.url, code=2, says="y\n")
        assert (
            "nobody is there to ask whether to delete hub old" in line and "with 2 children" in line
        )  # the clock is one
        assert re.fullmatch(
            r"hub old deleted: \d+ keys, 2 jobs\n", hubq("delete-hub", "old", "-y", cwd=tmp_path, redis=server.url)
        )
        left = server_keys(server)
        assert [key for key in left if "old" in key or key.startswith("rq:job")] == [], left
        assert hubq("hubs", cwd=tmp_path, redis=server.url) == ""


def server_keys(server: EmbeddedServer) -> list[str]:
    import redis

    with redis.Redis.from_url(server.url) as client:
        return [key.decode() for key in client.keys("*")]


def test_a_redis_of_its_own_has_the_usual_port_if_nobody_has_it() -> None:
    port = free_port()
    with EmbeddedServer(port=port) as server:
        assert server.port == port and not is_free(port)
        with EmbeddedServer(port=port) as other:
            assert other.port != port


def test_a_redis_that_was_given_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_redis("redis://elsewhere/0") as url:
        assert url is None
    monkeypatch.setenv("HUBQ_REDIS_URL", "redis://elsewhere/0")
    with a_redis(None) as url:
        assert url is None
    monkeypatch.delenv("HUBQ_REDIS_URL")
    monkeypatch.setattr("hubq.cli.dev.find_server", lambda: (None, "fakeredis"))
    with pytest.raises(ConfigError, match="no Redis found to start: install redis-server"), a_redis(None):
        pass
