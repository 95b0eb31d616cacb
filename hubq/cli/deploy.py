"""``hubq deploy k8s|systemd``: a manifest and a unit whose times fit the hub's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import App, load_hub
from hubq.strategies.migration import MigrationTraits

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Time for a process to end after its drain (threads that linger, the end of the interpreter), seconds.
AFTER_DRAIN = 15
#: For how long a new worker must be ready before the next one is replaced, seconds. Its children have begun by then, and its
#: node has looked at them (every 2 s).
SETTLED = 10
#: How long a new worker may take until it is ready, seconds, apart from the handovers: pulling the image, building its children.
STARTS_WITHIN = 270


class Platform(StrEnum):
    """What to print."""

    K8S = "k8s"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, from the inside out: a handler's patience < the drain < the supervisor's patience."""

    drain: int
    grace: int
    lease: int
    alive_after: int
    progress: int

    @classmethod
    def of(cls, hub: Hub) -> Times:
        """The times that fit a hub.

        >>> from hubq import Hub
        >>> Times.of(Hub("chat"))
        Times(drain=30, grace=45, lease=5, alive_after=20, progress=300)
        """
        moves = MigrationTraits.of(hub.migration)
        waits = moves.retention + moves.handover_data_wait + moves.child_migration_timeout
        drain = max(30, math.ceil(waits + 5))
        lease = math.ceil(hub.config.lease)
        return cls(drain, drain + AFTER_DRAIN, lease, max(20, 2 * lease), STARTS_WITHIN + drain)


def deploy_command(
    platform: Annotated[Platform, typer.Argument(metavar="k8s|systemd", help="The platform to print for.")],
    app: App,
    replicas: Annotated[int, typer.Option(min=1, help="Workers (Kubernetes).")] = 3,
    image: Annotated[
        str, typer.Option(help="The container image, best by its digest (Kubernetes).")
    ] = "registry.example.com/app:1",
    directory: Annotated[str, typer.Option(help="Directory of the app and its venv (systemd).")] = "/srv/app",
    jobs: Annotated[int, typer.Option(min=0, help="Job processes of each worker (`hubq worker --jobs`).")] = 0,
) -> None:
    """Print Kubernetes manifests or a systemd unit for the workers of a hub. The times follow from the hub's settings."""
    hub = load_hub(app)
    if platform is Platform.K8S:
        print(kubernetes(app, hub, replicas, image, jobs), end="")
    else:
        print(systemd(app, hub, directory, jobs), end="")


def kubernetes(app: str, hub: Hub, replicas: int, image: str, jobs: int = 0) -> str:
    """A Deployment, how many of its pods may be away at once, and who may reach them."""
    times = Times.of(hub)
    with_jobs = f' --jobs, "{jobs}",' if jobs else ""
    name = f"hubq-{hub.hub_id}".lower().replace("_", "-").replace(".", "-")
    return f"""\
# The workers of hub {hub.hub_id}. A rolling update starts a new worker, waits until it serves its share, and drains an
# old one, whose children move with their state. A new worker that cannot run its children is not ready: the update stops,
# and the old workers serve on. Times: a handler is given its retention, a drain {times.drain} s, the pod
# {times.grace} s; a worker that dies is replaced by the others after its lease ({times.lease} s) whatever happens here.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: {replicas}
  # A worker must be ready for so long before the next one is replaced: an on_start that fails is seen by then.
  minReadySeconds: {SETTLED}
  # After that `kubectl rollout status` says that the update has failed.
  progressDeadlineSeconds: {times.progress}
  selector:
    matchLabels: {{app: {name}}}
  strategy:
    rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{prometheus.io/scrape: "true", prometheus.io/port: "9101"}}
    spec:
      # On different machines, if there are several: the loss of one takes as few workers as possible.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{app: {name}}}
      terminationGracePeriodSeconds: {times.grace}
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: worker
          image: {image}
          # The exec form: a shell in between would not pass SIGTERM on.
          command: [hubq, worker, "{app}", --name, $(POD_NAME),{with_jobs} --drain-timeout, "{times.drain}", --metrics-port, "9101",
            --metrics-host, 0.0.0.0, --log-format, json]
          env:
            - name: POD_NAME
              valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}
            - name: HUBQ_REDIS_URL
              valueFrom: {{secretKeyRef: {{name: {name}, key: redis-url}}}}
          ports:
            - {{name: metrics, containerPort: 9101}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          # Python looks for new modules only where the image has them; what needs files of its own writes them to /tmp.
          volumeMounts:
            - {{name: tmp, mountPath: /tmp}}
          # No CPU limit: a throttled event loop loses its lease. Give the memory that your children need.
          resources:
            requests: {{cpu: 500m, memory: 256Mi}}
            limits: {{memory: 1Gi}}
          # Until it has joined, nobody asks whether it is alive.
          startupProbe:
            httpGet: {{path: /healthz, port: metrics}}
            periodSeconds: 1
            failureThreshold: {STARTS_WITHIN}
          # Ready: it serves its shards, under a lease that it can trust, and can run the children that come to it.
          readinessProbe:
            httpGet: {{path: /readyz, port: metrics}}
            periodSeconds: 1
            failureThreshold: 2
          # Alive. (A handler that blocks the event loop ends its worker by itself, after stall_limit.)
          livenessProbe:
            httpGet: {{path: /healthz, port: metrics}}
            periodSeconds: 5
            failureThreshold: {math.ceil(times.alive_after / 5)}
          lifecycle:
            preStop:
              # SIGTERM drains as well; this begins the drain also where an entry point swallows signals.
              exec: {{command: [sh, -c, 'hubq drain "{app}" "$POD_NAME" --no-wait']}}
      volumes:
        - {{name: tmp, emptyDir: {{}}}}
---
# Kubernetes empties one machine at a time: each worker hands its children over before the next one has to.
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{app: {name}}}
---
# Nobody connects to a worker but for its metrics and health: it asks Redis for all that it needs.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {name}
spec:
  podSelector:
    matchLabels: {{app: {name}}}
  # If your children reach nothing but Redis, add Egress here, and this below:
  #   egress:
  #     - ports: [{{port: 53, protocol: UDP}}, {{port: 53, protocol: TCP}}, {{port: 6379, protocol: TCP}}]
  policyTypes: [Ingress]
  ingress:
    - ports: [{{port: metrics, protocol: TCP}}]
"""


def systemd(app: str, hub: Hub, directory: str, jobs: int = 0) -> str:
    """A unit template, one instance per worker."""
    times = Times.of(hub)
    with_jobs = f" --jobs {jobs}" if jobs else ""
    return f"""\
# /etc/systemd/system/hubq-{hub.hub_id}@.service: systemctl enable --now hubq-{hub.hub_id}@1 hubq-{hub.hub_id}@2
# Restart them one after another, so that there is always one to move to.
[Unit]
Description=hubq worker %i of hub {hub.hub_id}
After=network-online.target
Wants=network-online.target

[Service]
User=app
WorkingDirectory={directory}
EnvironmentFile=-{directory}/hubq.env
ExecStart={directory}/venv/bin/hubq worker {app} --name %H-%i{with_jobs} --drain-timeout {times.drain}
# SIGTERM drains; what has not ended after {times.grace} s is killed, and the others take over from the last commit.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={times.grace}
Restart=on-failure
RestartSec=1
# It needs no right but to read its code and to reach Redis. What it writes goes to a /tmp of its own.
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
PrivateDevices=true
PrivateMounts=true
PrivateUsers=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
RemoveIPC=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=
UMask=0077

[Install]
WantedBy=multi-user.target
"""
