"""What the containers of docker/ run, without Docker: the same commands, in a directory that has what the image has and no more."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import yaml

from hubq.store.embedded import find_server

from .test_metrics import pages_of

if TYPE_CHECKING:
    from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]


def command_of(instruction: str) -> list[str]:
    """The last command of this instruction in the Dockerfile."""
    found: list[str] = json.loads(re.findall(rf"^{instruction} .*?(\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    return found


def test_the_worker_of_the_image_runs_is_healthy_and_ends_by_sigterm(shell: Shell, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "workers", tmp_path / "workers")
    assert command_of("ENTRYPOINT") == ["hubq"]
    name, *arguments = command_of("CMD")
    assert name == "worker"
    port = arguments.index("--metrics-port") + 1
    asked = arguments[port]
    arguments[port] = "0"  # a free one: other tests run beside this one
    worker = shell.spawn(*arguments, cwd=tmp_path)
    address = pages_of(worker)
    python, *check = command_of("HEALTHCHECK")
    assert python == "python" and f"127.0.0.1:{asked}" in check[-1]
    check[-1] = check[-1].replace(f"http://127.0.0.1:{asked}", address)

    def health() -> int:
        return subprocess.run([sys.executable, *check], stderr=subprocess.DEVNULL, timeout=20, check=False).returncode

    assert health() == 0
    (stop,) = re.findall(r"^STOPSIGNAL (\w+)$", DOCKERFILE, re.MULTILINE)
    worker.signal(getattr(signal, stop))
    assert worker.wait() == 0
    assert health() == 1


def test_redis_takes_the_flags_that_compose_gives_it(tmp_path: Path) -> None:
    binary, kind = find_server()
    if binary is None:
        pytest.skip(f"there is {kind} only")
    _, *flags = SERVICES["redis"]["command"]
    place = tmp_path / "s"
    server = subprocess.Popen(
        [binary, *flags, "--port", "0", "--unixsocket", place, "--dir", tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if "eady to accept connections" in line or "server is now ready" in line:
                break
        assert server.poll() is None, "".join(said)
        with redis.Redis(unix_socket_path=str(place), decode_responses=True) as client:
            for name, value in zip(flags[::2], flags[1::2], strict=True):
                assert client.config_get(name[2:]) == {name[2:]: value}
            assert client.ping() and SERVICES["redis"]["healthcheck"]["test"][1:] == ["redis-cli", "ping"]
    finally:
        server.terminate()
        assert server.stdout is not None
        server.stdout.close()
        server.wait(10)
