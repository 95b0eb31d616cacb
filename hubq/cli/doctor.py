"""``hubq doctor``: the faults of a hub, in plain words, with their remedies."""

from __future__ import annotations

import sys
from dataclasses import asdict

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json
from hubq.core.diagnosis import Finding
from hubq.jobs.attention import look


def doctor_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Look for faults of a hub, and say what to do about each. Exit code 1 if there is one."""
    opened = open_hub(hub, redis)
    findings = [*opened.inspect.diagnosis(), *look(opened)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    elif findings:
        for finding in findings:
            _print(finding)
    else:
        print("all is well")
    if findings:
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        console.print(Text.assemble((finding.topic, "bold red"), ": ", finding.seen))
        console.print(Text("  → " + finding.do, style="dim"))
        return
    print(f"{finding.topic}: {finding.seen}\n  -> {finding.do}")
