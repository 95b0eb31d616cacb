"""A Redis that speaks TLS only, with a certificate for 127.0.0.1 alone."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import find_server


@contextmanager
def tls_redis(directory: Path, *options: str) -> Iterator[str]:
    """Its URL. Skips where no Redis can do that."""
    binary, kind = find_server()
    if binary is None:
        pytest.skip(f"{kind} listens on one port only")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = str(directory / "key"), str(directory / "certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=redis.internal", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate)
    process = subprocess.Popen(
        [binary, "--save", "", "--dir", str(directory), "--port", "0", "--tls-port", port, "--tls-auth-clients", "no", *files, *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            pytest.skip("this Redis was built without TLS")
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        first = SyncRedis(RedisServer(url))
        first.run(plain("PING", read=bytes), retry_for=10.0)
        first.close()
        yield url
    finally:
        process.terminate()
        process.wait()
