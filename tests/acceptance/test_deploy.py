"""``hubq deploy``, and the rolling update that its manifest describes, rehearsed with real workers under load."""

from __future__ import annotations

import configparser
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hubq import Child, ChildSpec, HotSwap, Hub, HubqError
from hubq.cli.deploy import kubernetes, systemd
from hubq.store.vitals import EVERY

from .test_metrics import pages_of, until

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance

APP = "basic:hub"
CHILDREN = 60


class Counter(Child):
    """Workers know by this name the one in ``apps/basic.py``."""


def deployment_of(manifests: str) -> Any:
    """The first of the printed objects."""
    deployment = next(yaml.safe_load_all(manifests))
    assert deployment["kind"] == "Deployment"
    return deployment


def test_the_manifest_is_yaml_whose_times_fit_each_other(shell: Shell, hub_id: str) -> None:
    deployment = deployment_of(shell.ok("deploy", "k8s", APP, "--replicas", "5"))
    pod = deployment["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    command = worker["command"]
    assert command[:3] == ["hubq", "worker", APP]
    drain = float(command[command.index("--drain-timeout") + 1])
    assert pod["terminationGracePeriodSeconds"] > drain > 5.0
    assert deployment["spec"]["replicas"] == 5
    spec = deployment["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, "an old worker stays until the new one is ready"
    assert spec["minReadySeconds"] >= 2 * EVERY + 2, "children that fail in on_start have been counted"
    assert spec["progressDeadlineSeconds"] > spec["minReadySeconds"] + drain
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    port = command[command.index("--metrics-port") + 1]
    assert worker["ports"] == [{"name": "metrics", "containerPort": int(port)}]
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    alive = worker["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] > 2.0  # the lease of the app
    assert worker["lifecycle"]["preStop"]["exec"]["command"][2].startswith(f'hubq drain "{APP}"')
    assert {each["name"] for each in worker["env"]} == {"POD_NAME", "HUBQ_REDIS_URL"}


def test_the_unit_file_has_the_same_times(shell: Shell) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(shell.ok("deploy", "systemd", APP))
    service = unit["Service"]
    assert f"hubq worker {APP} --name %H-%i --drain-timeout 30" in service["ExecStart"]
    assert int(service["TimeoutStopSec"]) > 30
    assert service["KillSignal"] == "SIGTERM"


def test_a_pod_has_no_right_that_it_does_not_need() -> None:
    pod = deployment_of(kubernetes(APP, Hub("chat"), 3, "image"))["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0 and pod["securityContext"]["runAsGroup"] > 0
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert [each["mountPath"] for each in worker["volumeMounts"]] == ["/tmp"]
    assert "memory" in worker["resources"]["limits"] and "cpu" not in worker["resources"]["limits"]


def test_a_unit_has_no_right_that_it_does_not_need() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(systemd(APP, Hub("chat"), "/srv/app"))
    service = unit["Service"]
    for setting in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert service[setting] == "true"
    assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""


def times_of(hub: Hub) -> tuple[int, int, int, int]:
    """What is printed for a hub, k8s: drain, grace, patience of the liveness probe; systemd: the stop time-out."""
    pod = deployment_of(kubernetes(APP, hub, 3, "image"))["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    drain = worker["command"][worker["command"].index("--drain-timeout") + 1]
    probe = worker["livenessProbe"]
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(systemd(APP, hub, "/srv/app"))
    assert f"--drain-timeout {drain}" in unit["Service"]["ExecStart"]
    patience = probe["periodSeconds"] * probe["failureThreshold"]
    return int(drain), pod["terminationGracePeriodSeconds"], patience, int(unit["Service"]["TimeoutStopSec"])


def test_times_follow_from_the_settings_of_the_hub() -> None:
    assert times_of(Hub("chat")) == (30, 45, 20, 45)
    # 60 s for a busy child, 3 s for its state, 10 s for the target to build it, 5 s for the rest; twice the lease
    assert times_of(Hub("chat", migration=HotSwap(retention=60.0), lease=15.0)) == (78, 93, 30, 93)
    slow = HotSwap(handover_data_wait=20.0, child_migration_timeout=40.0)
    assert times_of(Hub("chat", migration=slow)) == (70, 85, 20, 85)
    assert "after its lease (15 s)" in kubernetes(APP, Hub("chat", lease=15.0), 3, "image")


def test_the_page_shows_what_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert f"```ini\n{systemd('app:hub', Hub('chat'), '/srv/app')}```\n" in page
    assert f"```yaml\n{kubernetes('app:hub', Hub('chat'), 3, 'registry.example.com/app:1')}```\n" in page


@pytest.mark.long
def test_job_processes_are_asked_for(shell: Shell) -> None:
    deployment = deployment_of(shell.ok("deploy", "k8s", APP, "--jobs", "4"))
    command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[command.index("--jobs") + 1] == "4"
    assert "--name %H-%i --jobs 4 --drain-timeout" in shell.ok("deploy", "systemd", APP, "--jobs", "4")
    assert "--jobs" not in shell.ok("deploy", "systemd", APP)


@pytest.mark.long
def test_drain_without_waiting(shell: Shell, hub_id: str) -> None:
    worker = shell.worker("a")
    assert shell.ok("drain", hub_id, "a", "--no-wait") == "a drains"
    assert worker.wait() == 0


@pytest.mark.long
def test_a_rolling_update_of_three_workers_fails_no_call(shell: Shell, hub: Hub) -> None:
    old = [shell.worker(f"old-{n}", "--metrics-port", "0") for n in range(3)]
    specs = [ChildSpec(f"c-{n}", Counter) for n in range(CHILDREN)]
    assert len(hub.start_children(specs).result(timeout=20).started) == CHILDREN
    done, called, failed = threading.Event(), [0] * CHILDREN, list[HubqError]()

    def call(first: int) -> None:
        number = first
        while not done.is_set():
            try:
                hub.ref(f"c-{number}").call("add", 1, timeout=10)
                called[number] += 1
            except HubqError as error:
                failed.append(error)
            number = (number + 4) % CHILDREN

    callers = [threading.Thread(target=call, args=[first]) for first in range(4)]
    for caller in callers:
        caller.start()
    try:
        for n, worker in enumerate(old):
            fresh = shell.worker(f"new-{n}", "--metrics-port", "0")
            until(pages_of(fresh), "/readyz", 200)
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert failed == []
    assert sum(called) > 100
    assert {node.name for node in hub.nodes()} == {"new-0", "new-1", "new-2"}
    assert [hub.ref(f"c-{n}").call("total") for n in range(CHILDREN)] == called
