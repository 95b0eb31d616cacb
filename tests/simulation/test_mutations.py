"""Every mutation takes hold of something that is there and in use: one that does not would prove nothing."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import hubq
from hubq.store.scripts import SCRIPTS
from tests.simulation.mutations import MUTATIONS, SCRIPT_TARGETS, TARGETS, mutated

SOURCES = Path(str(hubq.__file__)).parent


@cache
def used() -> frozenset[str]:
    """The names that hubq's own code reads (a definition is none)."""
    found = set[str]()
    for file in SOURCES.rglob("*.py"):
        if "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.add(node.id)
    return frozenset(found)


def names_read_in(module: ModuleType) -> set[str]:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def test_every_mutation_has_its_line_in_one_of_the_tables() -> None:
    assert set(TARGETS) | set(SCRIPT_TARGETS) == set(MUTATIONS)
    assert not set(TARGETS) & set(SCRIPT_TARGETS)
    assert set(TARGETS) == {name for name, mutation in MUTATIONS.items() if mutation.broken is not None}


def test_what_they_replace_is_there_and_is_used() -> None:
    """One test: each process that runs a part of it would parse all of hubq."""
    for name in TARGETS:
        check(name)


def check(name: str) -> None:
    target = TARGETS[name]
    assert target.attribute in vars(target.owner), "not inherited, not imported under another name"
    before = getattr(target.owner, target.attribute)
    if target.takes is not None:
        assert callable(before)
        assert " ".join(inspect.signature(before).parameters) == target.takes
    assert target.attribute in used()
    if isinstance(target.owner, ModuleType):
        assert target.attribute in names_read_in(target.owner), "what is replaced is read in this very module"
    else:
        over = [kind for kind in target.owner.__subclasses__() if target.attribute in vars(kind)]
        assert not over, "an override would be used in its place"
    with mutated(name):
        broken = getattr(target.owner, target.attribute)
        assert broken is not before
        if target.takes is not None:
            assert len(inspect.signature(broken).parameters) == len(inspect.signature(before).parameters)
            assert inspect.iscoroutinefunction(broken) is inspect.iscoroutinefunction(before)
    assert getattr(target.owner, target.attribute) is before, "it comes back"


@pytest.mark.parametrize("name", SCRIPT_TARGETS)
def test_the_scripts_that_it_changes_are_those_that_it_is_about(name: str) -> None:
    change = MUTATIONS[name].script
    assert {script.name for script in SCRIPTS.values() if change(script.text) != script.text} == SCRIPT_TARGETS[name]
