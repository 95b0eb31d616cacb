"""Tests look into hubq by ``hubq.testing`` alone, so that its insides can be built anew without them.

What counts as inside: names that begin with an underscore and that hubq defines, the parts of a node, and what only
``hubq.node`` has. What a test file defines itself is its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HUBQ = ROOT / "hubq"
#: Attributes behind which the parts of a node are; of a ``ChildHere``, too.
PARTS = {"wiring", "holdings", "inside"}
#: Functions to which a name is given as text.
BY_TEXT = {"setattr", "getattr", "hasattr", "delattr", "object", "patch", "replaced"}
#: What ``hubq.node`` is for: everything else of it is inside.
PUBLIC = {("hubq.node.node", "Node")}

#: file -> why it may.
ALLOWED = {
    "tests/simulation/mutations.py": "it breaks hubq on purpose; all that it takes hold of stands in its tables",
    "tests/simulation/mutations_effects.py": "the same",
    "tests/simulation/mutations_groups.py": "the same",
    "tests/simulation/mutations_membership.py": "the same",
    "tests/simulation/mutations_moves.py": "the same",
}
#: Unit tests of the parts of a node: each is made and changed with its part, and uses the part's public names.
OF_PARTS = "tests/unit/node/"
#: (file, name) -> why it may.
ALLOWED_NAMES = {
    (
        "tests/contract/store/test_scripts.py",
        "_next",
    ): "a send window that leaves numbers out, as one of a crashed client does",
    (
        "tests/unit/cli/test_output.py",
        "_print_rich",
    ): "a string: the way of a terminal with rich is not installed everywhere",
}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.AST) -> Iterator[str]:
    """The private names that a file defines: functions, classes, variables, attributes of its own objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and own(node):
            names = [node.attr]
        else:
            continue
        yield from filter(private, names)


def own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@cache
def of_hubq() -> frozenset[str]:
    files = [file for file in HUBQ.rglob("*.py") if "testing" not in file.relative_to(HUBQ).parts]
    return frozenset(name for file in files for name in defined(ast.parse(file.read_text(encoding="utf-8"))))


def touched(source: str) -> list[tuple[int, str]]:
    """Line and name of everything in a test file that is inside of hubq."""
    tree = ast.parse(source)
    inside = of_hubq() - frozenset(defined(tree))
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (node.attr in inside or node.attr in PARTS):
            found.append((node.lineno, node.attr))
        elif isinstance(node, ast.Call) and called(node) in BY_TEXT:
            texts = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            found += [(node.lineno, text) for text in texts if text in inside or text.startswith("hubq.node.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hubq":
            for name in node.names:
                of_node = f"{node.module}.{name.name}.".startswith("hubq.node.")
                if private(name.name) or (of_node and (node.module, name.name) not in PUBLIC):
                    found.append((node.lineno, name.name))
        elif isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names if name.name.startswith("hubq.node")]
    return found


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def files() -> list[str]:
    return sorted(
        str(file.relative_to(ROOT))
        for part in ("tests", "benchmarks", "examples")
        for file in (ROOT / part).rglob("*.py")
    )


def left_in(file: str) -> list[str]:
    """What a file touches that it may not."""
    if file in ALLOWED:
        return []
    found = touched((ROOT / file).read_text(encoding="utf-8"))
    if file.startswith(OF_PARTS):
        found = [(line, name) for line, name in found if private(name)]
    return [f"{file}:{line}: {name}" for line, name in found if (file, name) not in ALLOWED_NAMES]


def check_no_test_knows_what_is_inside() -> None:
    left = [each for file in files() for each in left_in(file)]
    assert not left, f"{left}: ask by hubq.testing (probe, interfere, moments, connections)"


def check_no_permission_outlives_its_use() -> None:
    for file in ALLOWED:
        assert touched((ROOT / file).read_text(encoding="utf-8")), f"{file} needs no permission any more"
    for file, name in ALLOWED_NAMES:
        names = {name for _, name in touched((ROOT / file).read_text(encoding="utf-8"))}
        assert name in names, f"{file} does not touch {name} any more"


def check_what_is_inside_is_seen() -> None:
    for line, name in (
        ("node._parts[0].start()", "_parts"),
        ("def f(self): return self._group", "_group"),
        ("node.wiring.plan_due.ring()", "wiring"),
        ("any(cursors.holdings)", "holdings"),
        ("child.inside.park(why)", "inside"),
        ("monkeypatch.setattr(x, '_until_answered', y)", "_until_answered"),
        ("monkeypatch.setattr('hubq.node.hook_runner.BEFORE', 1)", "hubq.node.hook_runner.BEFORE"),
        ("from hubq.node.reader import Reader", "Reader"),
        ("from hubq.node import reader", "reader"),
        ("import hubq.node.reader", "hubq.node.reader"),
        ("from hubq.client.placing import _with_pins", "_with_pins"),
    ):
        assert touched(line) == [(1, name)]


def check_what_is_not_inside_is_not_seen() -> None:
    for line in (
        "os._exit(7)",
        "from hubq.node.node import Node",
        "class Mine:\n    def __init__(self): self._group = 1\n    def f(self): return self._group",
        "logging.getLogger('hubq.node')",
        "from hubq.testing import probe",
    ):
        assert touched(line) == []


def test_tests_look_into_hubq_by_one_door() -> None:
    """One test for all files: each process that runs a part of them would parse all of hubq."""
    check_no_test_knows_what_is_inside()
    check_no_permission_outlives_its_use()
    check_what_is_inside_is_seen()
    check_what_is_not_inside_is_not_seen()
