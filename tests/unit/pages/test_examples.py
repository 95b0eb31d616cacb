"""The documents hold: their code compiles, their links lead somewhere, the commands they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubq.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Those that lead somewhere, too.
LINKING = [*DOCS, ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")  # (its text may be broken over two lines)
#: A page that is named in code.
NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b")
COMMAND = re.compile(r"(?<![\w:.-])hubq +([a-z][a-z-]*)|\"hubq\", *\"([a-z][a-z-]*)\"")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[tuple[str, str, int]]:
    """(language, text, first line) of every fenced block."""
    text = path.read_text(encoding="utf-8")
    found = FENCE.finditer(text)
    return [(match[2].strip(), match[3], text.count("\n", 0, match.start(3)) + 1) for match in found]


def python_blocks() -> list[tuple[str, str, int]]:
    return [(name_of(path), code, line) for path in DOCS for kind, code, line in blocks(path) if kind == "python"]


def commands_named(path: Path) -> set[str]:
    """Every ``hubq <command>`` in code of a document; Python code is not a command line."""
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    code = [text for kind, text, _ in blocks(path) if kind != "python"] + INLINE.findall(prose)
    return {first or second for text in code for first, second in COMMAND.findall(text)}


@pytest.mark.parametrize(("where", "code", "line"), [pytest.param(*b, id=f"{b[0]}:{b[2]}") for b in python_blocks()])
def test_python_code_compiles(where: str, code: str, line: int) -> None:
    compile("\n" * (line - 1) + code, where, "exec", dont_inherit=True)


def test_there_is_code_to_compile() -> None:
    assert {"README.md", "docs/guide-children.md"} <= {where for where, _, _ in python_blocks()}


@pytest.mark.parametrize("path", LINKING, ids=name_of)
def test_relative_links_lead_to_files(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link and not link.startswith("#")]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


def test_pages_that_code_names_are_there() -> None:
    folders = ("hubq", "workers", "examples", "tests", "benchmarks")
    named = {
        (page, str(path.relative_to(ROOT)))
        for folder in folders for path in (ROOT / folder).rglob("*.py")
        for page in NAMED.findall(path.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert len(named) > 20
    assert sorted((page, where) for page, where in named if not (ROOT / page).exists()) == []


def test_a_link_may_be_broken_over_two_lines() -> None:
    assert LINK.findall("see [the\nguide](guide.md#a) and [b](c.md)") == ["guide.md#a", "c.md"]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", LINKING, ids=name_of)
def test_anchors_lead_to_headings(path: Path) -> None:
    links = [
        link.partition("#")
        for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
        if "://" not in link
    ]
    aimed = [((path.parent / target).resolve() if target else path, anchor) for target, _, anchor in links if anchor]
    assert [
        f"{page.name}#{anchor}" for page, anchor in aimed if page.suffix == ".md" and anchor not in anchors(page)
    ] == []


def test_anchors_are_made_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Long loops: `run()`\n\n## One [of](x.md) your own\n\n```sh\n# no heading\n```\n", encoding="utf-8"
    )
    assert anchors(page) == {"long-loops-run", "one-of-your-own"}


def test_the_index_links_every_document() -> None:
    docs = ROOT / "docs"
    linked = {link.partition("#")[0] for link in LINK.findall((docs / "index.md").read_text(encoding="utf-8"))}
    there = {str(path.relative_to(docs)) for path in docs.rglob("*.md")} - {"index.md"}
    assert there - linked == set()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_commands_named_exist(path: Path) -> None:
    known = {listed.name for listed in COMMANDS}
    assert commands_named(path) - known == set()


def test_commands_are_found_in_code_only() -> None:
    assert "worker" in commands_named(ROOT / "README.md")
    assert COMMAND.findall("ExecStart=/opt/bin/hubq worker app:hub") == [("worker", "")]
    assert COMMAND.findall('command: ["hubq", "worker", "app:hub"]') == [("", "worker")]
    assert COMMAND.findall("from hubq import Hub") == [("import", "")]  # why Python blocks are left out
