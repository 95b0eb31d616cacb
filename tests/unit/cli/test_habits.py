"""Words of other job systems are answered with what hubq has, and that is there."""

from __future__ import annotations

import re

import pytest

from hubq.cli.commands import COMMANDS
from hubq.cli.habits import COMMANDS as THEIRS
from hubq.cli.habits import OPTIONS
from hubq.cli.main import USAGE, outcome

OURS = {listed.name for listed in COMMANDS}


@pytest.mark.parametrize("word", THEIRS)
def test_a_command_of_another_system_is_answered(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word not in OURS, "it is hubq's own"
    assert outcome([word]) == USAGE
    assert capsys.readouterr().err == f"hubq: No such command '{word}': {THEIRS[word]}\n"


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_another_system_is_answered(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["worker", "app:hub", option]) == USAGE
    assert capsys.readouterr().err == f"hubq: No such option: {option}: {OPTIONS[option]}\n"


def test_other_words_are_answered_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["nodez"]) == USAGE and outcome(["worker", "app:hub", "--zzz"]) == USAGE
    command, option = capsys.readouterr().err.splitlines()
    assert command == "hubq: No such command 'nodez'. Did you mean 'nodes'?"
    assert option in ("hubq: No such option: --zzz", "hubq: No such option '--zzz'.")  # as click says it


def test_a_group_of_commands_names_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """`hubq dead chat`, as `hubq mailbox chat` is right: which command is missing is said."""
    assert outcome(["dead", "chat"]) == USAGE and outcome(["dead", "lst"]) == USAGE
    forgotten, mistyped = capsys.readouterr().err.splitlines()
    assert forgotten == "hubq: No such command 'chat': give one of list, show, replay, drop (hubq dead list ...)"
    assert mistyped.startswith("hubq: No such command 'lst'") and "list" in mistyped


def test_what_is_told_instead_is_there() -> None:
    told = " ".join([*THEIRS.values(), *OPTIONS.values()])
    assert set(re.findall(r"\bhubq ([a-z][a-z-]*)", told)) <= OURS
    commands = {listed.name: listed for listed in COMMANDS}
    from hubq.cli.commands import command

    known = {each for param in command(commands["worker"]).params for each in param.opts}
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", " ".join(OPTIONS.values()))) <= known
