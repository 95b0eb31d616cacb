"""The Lua scripts: one file per operation in ``lua/``, with shared pieces (``_name.lua``) included by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation in Lua: its name, its text with all it includes, and the SHA-1 that EVALSHA wants."""

    name: str
    text: str
    sha: str


def _with_pieces(text: str, pieces: Mapping[str, str], here: set[str]) -> str:
    """The text with all that it includes, each piece once: where it is needed first."""

    def piece(found: re.Match[str]) -> str:
        if found[1] in here:
            return ""
        here.add(found[1])
        return _with_pieces(pieces[found[1]], pieces, here)

    return _INCLUDE.sub(piece, text)


def _load() -> dict[str, Script]:
    texts = {
        f.name[:-4]: f.read_text("utf-8") for f in files(__package__).joinpath("lua").iterdir() if f.name[-4:] == ".lua"
    }
    scripts: dict[str, Script] = {}
    for name, text in sorted(texts.items()):
        if name.startswith("_"):
            continue
        # A piece's header comment is for its reader in the repository; Redis need not keep it.
        full = _with_pieces(text, texts, set())
        full = "\n".join(line for line in full.splitlines() if not line.startswith("--"))
        scripts[name] = Script(name, full, sha1(full.encode()).hexdigest())
    return scripts


#: Every operation, by name.
SCRIPTS = _load()
