"""What users install: the wheel has hubq and nothing else, the source distribution has all of the repository."""

from __future__ import annotations

from pathlib import Path

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[3]


def test_the_wheel_installs_hubq_and_no_other_package() -> None:
    names = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {name.partition("/")[0] for name in names} == {"hubq"}
    assert {"hubq/py.typed", "hubq/store/lua/commit_shards.lua", "hubq/cli/demo_app.py"} <= names


def test_the_source_distribution_has_what_the_docs_name() -> None:
    names = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {"workers/counter.py", "examples/carts_flask.py", "docs/guide-workers.md", "Makefile"} <= names
    assert not {name for name in names if name.startswith((".venv", ".git/"))}
