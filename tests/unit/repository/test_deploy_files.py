"""The files of docker/, and what ``hubq deploy`` prints: valid, by digest, without rights, asked for pages that a worker serves."""

from __future__ import annotations

import configparser
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from hubq import Hub
from hubq.cli.deploy import kubernetes, systemd
from hubq.cli.init import COMPOSE
from hubq.cli.metrics import Pages
from hubq.node.node import Node

ROOT = Path(__file__).parents[3]
DIGEST = re.compile(r"[\w./-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}")
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
COMPOSED: Any = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSED["services"]
MANIFESTS: list[Any] = list(yaml.safe_load_all(kubernetes("app:hub", Hub("My_Hub.1"), 3, "app@sha256:0", 2)))


def instructions() -> dict[str, list[str]]:
    """What stands in the Dockerfile, by instruction."""
    found: dict[str, list[str]] = {}
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest.strip())
    return found


def served(path: str) -> bool:
    """Whether a worker has a page there."""
    pages = Pages(Node(Hub("h"), "a"), "127.0.0.1", 0)
    pages.start()
    said: list[str] = []
    try:
        list(pages.page({"PATH_INFO": path}, lambda status, headers: said.append(status)))
    except RuntimeError as error:  # the page is there, and its node has not started
        return "was not started" in str(error)
    finally:
        pages.stop()
    return said[0] != "404 Not Found"


# -- docker ----------------------------------------------------------------------------------------------------------


def test_images_are_named_by_their_digest() -> None:
    bases = [each.split()[0] for each in instructions()["FROM"]]
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert bases and images
    assert [image for image in (*bases, *images) if not DIGEST.fullmatch(image)] == []
    assert len(set(bases)) == 1, "what was built on one system does not run on another"


def test_the_image_runs_as_nobody_who_may_write() -> None:
    found = instructions()
    (user,) = found["USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number: Kubernetes cannot tell of a name that it is not root"
    assert not [each for each in found["COPY"] if "--chown" in each], "the code is root's"
    assert all(each.startswith("[") for each in (*found["ENTRYPOINT"], *found["CMD"])), "a shell would swallow SIGTERM"
    entry, command = (json.loads(found[name][0]) for name in ("ENTRYPOINT", "CMD"))
    assert [*entry, *command][:2] == ["hubq", "worker"]


def test_health_is_asked_where_the_worker_serves_it() -> None:
    (check,) = instructions()["HEALTHCHECK"]
    url = re.search(r"http://[^']+", check)
    assert url is not None
    asked = urlsplit(url[0])
    assert served(asked.path) and not served("/health")
    commands = [json.loads(instructions()["CMD"][0]), *(each["command"] for each in workers())]
    ports = {command[command.index("--metrics-port") + 1] for command in commands}
    assert ports == {str(asked.port)} == set(instructions()["EXPOSE"])
    assert "[metrics" in DOCKERFILE, "the pages need what the extra installs"


def test_the_context_has_no_secret() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = {source for each in instructions()["COPY"] if "--from" not in each for source in each.split()[:-1]}
    assert "*" in lines and copied == kept


def workers() -> list[Any]:
    return [service for name, service in SERVICES.items() if name.startswith("worker")]


def test_compose_publishes_nothing_and_gives_no_rights() -> None:
    assert len(workers()) == 3
    for name, service in SERVICES.items():
        assert "network_mode" not in service and "privileged" not in service, name
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "web":
            assert "ports" not in service and service["networks"] == ["hub"], name
    assert COMPOSED["networks"]["hub"] == {"internal": True}


def test_the_web_view_is_asked_for_and_for_this_machine_only() -> None:
    web = SERVICES["web"]
    assert web["profiles"] == ["web"] and [port.partition(":")[0] for port in web["ports"]] == ["127.0.0.1"]
    assert web["entrypoint"][-1] == "view:app" and "docker/view.py ./view.py" in DOCKERFILE
    assert web["environment"]["HUBQ_VIEW_PASSWORD"] == "${HUBQ_VIEW_PASSWORD:-}", "no password stands in the file"


def test_the_web_view_lets_in_who_knows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("starlette.testclient")
    monkeypatch.syspath_prepend(str(ROOT / "docker"))
    monkeypatch.setenv("HUBQ_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("HUBQ_VIEW_PASSWORD", "short")
    with pytest.raises(SystemExit, match="give 16 or more"):
        import_module("view")
    monkeypatch.setenv("HUBQ_VIEW_PASSWORD", "long enough für alle")
    app = import_module("view").app
    sys.modules.pop("view")
    browser = client.TestClient(app)
    for user in (None, ("ann", "wrong"), ("", "long enough für alle")):
        answer = browser.get("/", auth=user)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic ")
    for header in ("Basic", "Basic !", "Bearer YTpi", "Basic /w=="):
        assert browser.get("/", headers={"Authorization": header}).status_code == 401
    answer = browser.get("/", auth=("ann", "long enough für alle"))
    assert answer.status_code == 503, "let in; but there is no Redis"


def test_redis_keeps_what_it_is_given() -> None:
    redis = SERVICES["redis"]
    options = dict(zip(redis["command"][1::2], redis["command"][2::2], strict=True))
    assert options == {"--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction"}
    assert redis["volumes"] == ["redis:/data"] and "redis" in COMPOSED["volumes"]
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    for worker in workers():
        assert worker["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert worker["stop_grace_period"] == "45s", "longer than a drain"


def tool(name: str) -> Path:
    """A program that pip has put beside this Python. (A laptop whose environment is older does without.)"""
    path = Path(sys.executable).parent / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"not installed: {name}")
    return path


def said(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_compose_files_are_as_compose_wants_them(tmp_path: Path) -> None:
    """Checked with the schema of the Compose specification, which check-jsonschema brings."""
    files = {name: tmp_path / name for name in ("ours.yaml", "new.yaml", "wrong.yaml")}
    ours = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    files["ours.yaml"].write_text(ours)
    files["new.yaml"].write_text(COMPOSE)
    files["wrong.yaml"].write_text(ours.replace("stop_grace_period: 45s", "stop_grace_periods: 45s"))
    check = (tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec")
    for name in ("ours.yaml", "new.yaml"):
        code, text = said(*check, files[name])
        assert code == 0, text
    code, text = said(*check, files["wrong.yaml"])
    assert code == 1 and "stop_grace_periods" in text, text


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="hadolint is installed there only"
)
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    hadolint = tool("hadolint")
    assert said(hadolint, "--no-color", ROOT / "docker" / "Dockerfile") == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.replace("USER 10001:10001", "USER root"))
    code, text = said(hadolint, "--no-color", worse)
    assert code == 1 and "DL3002" in text, text


def test_all_that_is_copied_is_there() -> None:
    copied = [each.split()[:-1] for each in instructions()["COPY"] if "--from" not in each]
    assert [source for sources in copied for source in sources if not (ROOT / source).exists()] == []
    (extras,) = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*extras.split(",")} <= {*project["optional-dependencies"]}
    assert project["readme"] in copied[0], "the build reads it"


# -- hubq deploy -----------------------------------------------------------------------------------------------------


def validator() -> Any:
    """The schemas of Kubernetes, as PyPI has them. (A laptop whose environment is older does without.)"""
    name = "kubernetes_validate"
    return import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


@pytest.mark.parametrize("version", ["1.28", "1.33"])
def test_kubernetes_takes_all_that_is_printed(version: str) -> None:
    kubernetes_validate = validator()
    assert [each["kind"] for each in MANIFESTS] == ["Deployment", "PodDisruptionBudget", "NetworkPolicy"]
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, version, strict=True)
    MANIFESTS[0]["spec"]["tempalte"] = {}
    try:
        with pytest.raises(kubernetes_validate.ValidationError, match="tempalte"):
            kubernetes_validate.validate(MANIFESTS[0], version, strict=True)
    finally:
        del MANIFESTS[0]["spec"]["tempalte"]


def test_names_are_those_that_kubernetes_takes() -> None:
    for manifest in MANIFESTS:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", manifest["metadata"]["name"])


def test_all_objects_mean_the_same_pods() -> None:
    deployment, budget, policy = (each["spec"] for each in MANIFESTS)
    labels = deployment["template"]["metadata"]["labels"]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    selectors = [deployment["selector"], budget["selector"], policy["podSelector"], spread]
    assert [each["matchLabels"] for each in selectors] == [labels] * 4


def test_probes_ask_for_pages_that_are_there() -> None:
    (worker,) = MANIFESTS[0]["spec"]["template"]["spec"]["containers"]
    probes = {name: worker[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {probe["path"] for probe in probes.values()} == {"/healthz", "/readyz"}
    assert all(served(probe["path"]) for probe in probes.values())
    (port,) = worker["ports"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    command = worker["command"]
    assert command[command.index("--metrics-port") + 1] == str(port["containerPort"])
    (ingress,) = MANIFESTS[2]["spec"]["ingress"]
    assert [each["port"] for each in ingress["ports"]] == [port["name"]], "probes and Prometheus get through"


def test_one_worker_at_a_time_is_taken_away() -> None:
    assert MANIFESTS[1]["spec"]["maxUnavailable"] == 1


def printed_unit() -> str:
    return systemd("app:hub", Hub("chat"), "/srv/app")


HARDENED = (
    "NoNewPrivileges", "PrivateDevices", "PrivateMounts", "PrivateTmp", "PrivateUsers", "ProtectClock", "ProtectControlGroups",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RemoveIPC", "RestrictNamespaces",
    "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality",
)  # fmt: skip


def test_the_unit_has_no_right_that_it_does_not_need() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(printed_unit())
    service = unit["Service"]
    assert {name for name in HARDENED if service.get(name) != "true"} == set()
    assert service["User"] != "root" and service["CapabilityBoundingSet"] == "" and service["ProtectSystem"] == "strict"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit_and_rates_it_well(tmp_path: Path) -> None:
    there = shutil.which("true")
    unit = tmp_path / "hubq-chat@.service"
    unit.write_text(printed_unit().replace("/srv/app/venv/bin/hubq worker", f"{there} worker"))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert str(unit) not in verified.stderr and verified.returncode == 0, verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, timeout=30
    )  # fmt: skip
    if rated.returncode and not rated.stdout:
        pytest.skip("this systemd rates no unit that is not loaded")
    level = re.search(r"Overall exposure level for .*: ([\d.]+) ", rated.stdout)
    assert level is not None and float(level[1]) <= 1.5, rated.stdout
