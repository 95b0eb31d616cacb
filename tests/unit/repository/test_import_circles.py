"""No module of hubq needs, by whatever way round, one that needs it.

Every import counts: those at the top, those for type checkers only, and those inside functions. ``from package import name``
is an import of ``package.name`` where that is a module, and of ``package`` otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of hubq and its file."""
    found = {}
    for path in (ROOT / "hubq").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, known: Mapping[str, object]) -> Iterator[str]:
    """The modules, among the known ones, that a source imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "hubq has no relative imports"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                name = full if full in known else node.module
                if name in known:
                    yield name


def graph_of(sources: Mapping[str, str]) -> Graph:
    """Module -> the modules that it imports."""
    return {name: set(imported(source, sources)) - {name} for name, source in sources.items()}


def circle_in(graph: Graph) -> list[str]:
    """One circle, as the modules on the way round, the first one again at the end; empty if there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        way: list[str] = []
        steps = [iter([start])]
        while steps:
            module = next(steps[-1], None)
            if module is None:
                steps.pop()
                if way:
                    done.add(way.pop())
            elif module in way:
                return [*way[way.index(module) :], module]
            elif module not in done:
                way.append(module)
                steps.append(iter(sorted(graph[module])))
    return []


def without(graph: Graph, packages: tuple[str, ...]) -> Graph:
    """The graph without the modules of these packages."""

    def stays(name: str) -> bool:
        return not any(name == package or name.startswith(f"{package}.") for package in packages)

    return {name: {each for each in needs if stays(each)} for name, needs in graph.items() if stays(name)}


def test_nothing_imports_itself_by_a_way_round() -> None:
    graph = graph_of({name: path.read_text() for name, path in modules().items()})
    assert len(graph) > 200, "hubq has more modules than that: they are not found"
    circle = circle_in(graph)
    assert not circle, "a circle of imports: " + " -> ".join(circle)


def test_what_counts_as_an_import() -> None:
    sources = {
        "hubq": "import os",
        "hubq.a": "from __future__ import annotations\nimport hubq.b",
        "hubq.b": "if TYPE_CHECKING:\n    from hubq import c",
        "hubq.c": "def f():\n    from hubq.d import anything",
        "hubq.d": "from hubq import version",
    }
    graph = {"hubq": set(), "hubq.a": {"hubq.b"}, "hubq.b": {"hubq.c"}, "hubq.c": {"hubq.d"}, "hubq.d": {"hubq"}}
    assert graph_of(sources) == graph
    assert circle_in(graph) == []
    assert circle_in({**graph, "hubq.d": {"hubq.b"}}) == ["hubq.b", "hubq.c", "hubq.d", "hubq.b"]
    assert without(graph, ("hubq.b",))["hubq.a"] == set()
