"""docs/json.md names the fields that ``--json`` prints, with their types: they are public."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hubq.cli.bench import Figures
from hubq.cli.check import Cause, Found
from hubq.cli.commands import every_command
from hubq.cli.dead import record
from hubq.cli.demo_report import Report
from hubq.client.discovery import HubInfo
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import Mailbox, SavedState, Waiting
from hubq.client.operations.seals import SealCount
from hubq.client.operations.waiting_times import InOutboxes, Outbox, Outgoing
from hubq.client.results import ChildStatus, NodeStatus, Place
from hubq.core.facts import Finding
from hubq.core.pauses import Pause
from hubq.core.progress import Progress
from hubq.core.reminders import Reminder
from hubq.jobs.overview import JobLine, JobsOverview
from hubq.store.dead_letters import DeadLetter

PAGE = Path(__file__).resolve().parents[3] / "docs" / "json.md"
#: Heading -> what is printed there, table by table.
PRINTED: dict[str, list[type]] = {
    "ps": [ChildStatus],
    "hubs": [HubInfo],
    "nodes": [NodeStatus],
    "where": [Place],
    "pauses": [Pause],
    "mailbox show": [Mailbox, Waiting, InOutboxes, Outbox, Outgoing],
    "events": [Event],
    "doctor": [Finding],
    "reminders": [Reminder],
    "keys status": [SealCount],
    "check": [Found, Cause],
    "jobs": [JobsOverview, JobLine],
    "bench": [Figures],
    "demo": [Report],
}
JSON = {
    str: "string", bytes: "", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array", tuple: "array",
    types.NoneType: "null", Progress: "object", Outbox: "object",
}  # fmt: skip


def documented() -> dict[str, list[dict[str, str]]]:
    """Heading -> for each of its tables: field -> type."""
    found: dict[str, list[dict[str, str]]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading = re.match(r"`hubq ([a-z ]+)`\n", section)
        assert heading is not None, section
        tables = re.findall(r"^\| --- \| --- \| --- \|\n((?:\|.*\n)+)", section, re.MULTILINE)
        found[heading[1]] = [dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \| .+ \|$", t, re.MULTILINE)) for t in tables]
    return found


def said(annotation: Any) -> str:
    """A type as the page names it."""
    if isinstance(annotation, types.UnionType):
        return " or ".join(map(said, typing.get_args(annotation)))
    return JSON[typing.get_origin(annotation) or annotation]


def in_code(kind: type) -> dict[str, str]:
    hints = typing.get_type_hints(kind)
    names = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else fields(kind)
    return {field.name: said(hints[field.name]) for field in names}


@pytest.mark.parametrize("command", PRINTED)
def test_the_tables_are_those_of_the_code(command: str) -> None:
    assert documented()[command] == [in_code(kind) for kind in PRINTED[command]]


def test_a_saved_state_is_shown_decoded() -> None:
    (table,) = documented()["state"]
    stored = {name: kind for name, kind in in_code(SavedState).items() if name not in ("data", "unpickles")}
    assert table == {**stored, "version": "integer", "format": "string", "state": "any"}


def test_a_dead_letter_is_shown_for_people() -> None:
    letter = DeadLetter("6/1-0", 6, "call", "c", "Room", "m", "3", "", 0, b"p", 3, ("a#1",), 1, 2)
    (table,) = documented()["dead list"]
    assert table == {name: said(type(value)) for name, value in record(letter).items()}


def with_json(group: Any, name: str) -> set[str]:
    """The commands that have ``--json``."""
    if hasattr(group, "commands"):
        return {each for key, command in group.commands.items() for each in with_json(command, f"{name} {key}")}
    return {name.strip()} if any("--json" in option.opts for option in group.params) else set()


def test_no_listing_is_left_out() -> None:
    assert set(documented()) == {*PRINTED, "state", "config", "dead list", "feed"}
    found = {each for name, command in every_command() for each in with_json(command, name)}
    assert found == {*documented(), "dead show"}
