"""``hubq doctor``: the faults of a hub, in plain words, with their remedies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json, say
from hubq.core.facts import Finding
from hubq.core.shown import shown
from hubq.errors import ConfigError, RedisUnavailable

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.store.connection import Server


def doctor_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Look for faults of a hub, and say what to do about each. Exit code 1 if there is one."""
    opened = open_hub(hub, redis)
    with opened.inspect.reachable() as away:
        findings = opened.inspect.diagnosis()
    if not _has_jobs_at(opened, [opened.groups.servers[group] for group in away]):  # it has been waited for
        findings += _of_jobs(opened, bool(away))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    elif findings:
        for finding in findings:
            _print(finding)
    else:
        print("all is well")
    if findings:
        raise typer.Exit(1)


def _of_jobs(opened: Hub, some_away: bool) -> list[Finding]:
    """What is wrong with jobs; nothing is said of them if a group is away that must be asked: that is a finding already."""
    from hubq.jobs.attention import look

    try:
        return look(opened)
    except RedisUnavailable:
        if not some_away:
            raise
        return []


def _has_jobs_at(hub: Hub, servers: Sequence[Server]) -> bool:
    try:
        return hub.jobs_server.address in {server.address for server in servers}
    except ConfigError:  # it has none: look() says that
        return False


def _print(finding: Finding) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        console.print(Text.assemble((shown(finding.topic), "bold red"), ": ", shown(finding.seen)))
        console.print(Text("  → " + shown(finding.do), style="dim"))
        return
    say(f"{finding.topic}: {finding.seen}")
    say(f"  -> {finding.do}")
