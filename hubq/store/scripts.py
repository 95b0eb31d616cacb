"""The Lua scripts: one file per operation in ``lua/``, with shared pieces (``_name.lua``) included by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation in Lua: its name, its text with all it includes, and the SHA-1 that EVALSHA wants."""

    name: str
    text: str
    sha: str


def _parts(text: str) -> list[str]:
    """Lua, the name of a piece, Lua, the name of a piece, ..., Lua. Comments at the beginning of a line are for readers in the
    repository; Redis need not keep them.
    """
    parts = _INCLUDE.split(text)
    for at in range(0, len(parts), 2):
        parts[at] = "\n".join(line for line in parts[at].split("\n") if not line.startswith("--"))
    return parts


def _joined(name: str, files: Mapping[str, list[str]], here: set[str]) -> str:
    """The text with all that it includes, each piece once: where it is needed first."""
    text = ""
    for at, part in enumerate(files[name]):
        if at % 2 == 0:
            text += part
        elif part not in here:
            here.add(part)
            text += _joined(part, files, here)
    return text


def _load() -> dict[str, Script]:
    """At once, and not when a script is first used: by then another version of hubq may be installed. By hand, and not by
    :mod:`importlib.resources`, whose import takes twice the time of all this: every command and every web app begins here.
    """
    files: dict[str, list[str]] = {}
    for file in sorted(os.scandir(os.path.join(os.path.dirname(__file__), "lua")), key=lambda file: file.name):
        if file.name.endswith(".lua"):
            with open(file.path, "rb") as opened:
                files[file.name[:-4]] = _parts(opened.read().decode())
    scripts: dict[str, Script] = {}
    for name in files:
        if not name.startswith("_"):
            full = _joined(name, files, set()).removesuffix("\n")
            scripts[name] = Script(name, full, sha1(full.encode()).hexdigest())
    return scripts


#: Every operation, by name.
SCRIPTS = _load()
