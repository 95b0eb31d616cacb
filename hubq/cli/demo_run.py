"""One run of the demo, from its Redis to its report."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from secrets import token_hex
from types import FrameType

import msgspec
from rich.console import Console

from hubq.cli.demo_child import make_hub
from hubq.cli.demo_cluster import GROUPS_OF_EACH, ClusterSteps
from hubq.cli.demo_crew import Crew
from hubq.cli.demo_play import DemoFailed, Play, Step
from hubq.cli.demo_report import Report, make_report
from hubq.cli.demo_view import View, show
from hubq.cli.demo_words import count_words, source_files
from hubq.core.layout import slot, tag_of
from hubq.errors import HubqError
from hubq.store.command import Command, plain, text
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.embedded_cluster import EmbeddedCluster


def run_demo(json: bool, redis: str | None, buckets: int, limit: float, primaries: int) -> int:
    """Run it all and print the report; the exit code."""
    # With --json, stdout is for the object alone: people can watch on stderr.
    console = Console(stderr=json, highlight=False)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        report = _run(console, redis or os.environ.get("HUBQ_REDIS_URL"), buckets, limit, primaries)
    except DemoFailed as error:
        print(f"hubq: the demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; all processes of the demo have been ended", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        show(console, report)
    return 0 if report.good else 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(console: Console, redis: str | None, buckets: int, limit: float, primaries: int) -> Report:
    hub_id = f"demo-{token_hex(4)}"
    with ExitStack() as stack:
        more: list[Step] = []
        groups = primaries * GROUPS_OF_EACH if primaries > 1 else 1
        if primaries > 1:
            cluster = stack.enter_context(EmbeddedCluster(primaries, replicas=1))
            slots = [slot(tag_of(hub_id, group, groups)) for group in range(groups)]
            redis, more = cluster.url, ClusterSteps(cluster, slots).steps()
            console.print(
                f"a Redis Cluster of the demo's own ({cluster.kind}): {primaries} primaries, each with a replica"
            )
            console.print(
                f"a hub of {groups} groups, {GROUPS_OF_EACH} on each primary; two workers, {buckets} children"
            )
        elif redis is None:
            server = stack.enter_context(EmbeddedServer())
            redis = server.url
            console.print(f"a Redis of the demo's own ({server.kind}); two workers, {buckets} children")
        else:
            console.print(f"Redis at {RedisServer(redis).address}; two workers, {buckets} children")
            stack.callback(_forget, redis, hub_id)
        crew = stack.enter_context(Crew(hub_id, redis, groups))
        view = stack.enter_context(View(console))
        play = Play(crew, view, make_hub(hub_id, redis, groups), buckets, limit, more)
        stack.callback(play.close)
        try:
            play.set_up()
            began = time.monotonic()
            ledgers = play.run()
            totals = play.totals()
            truth = count_words(source_files())
            assert play.kill is not None
            report = make_report(ledgers, totals, truth, play.events(), play.kill, time.monotonic() - began)
        except (DemoFailed, HubqError):
            print(crew.logs(), end="", file=sys.stderr)
            raise
        if not report.good:
            errors = [line for ledger in ledgers for line in ledger.errors]
            print("\n".join([*errors, crew.logs()]), file=sys.stderr)
        return report


def _forget(redis: str, hub_id: str) -> None:
    """Remove the demo's hub from a Redis that is not the demo's own."""
    client, cursor = SyncRedis(RedisServer(redis)), "0"
    try:
        while True:
            page: Command[tuple[str, list[bytes]]] = plain(
                "SCAN", cursor, "MATCH", f"hubq:{{{hub_id}}}:*", "COUNT", 1000, read=lambda it: (text(it[0]), it[1])
            )
            cursor, keys = client.run(page)
            if keys:
                client.run(plain("UNLINK", *keys, read=int))
            if cursor == "0":
                return
    finally:
        client.close()
