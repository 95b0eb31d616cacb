"""What users install: the wheel has hubq and nothing else, the source distribution has all of the repository."""

from __future__ import annotations

from hashlib import sha256
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


def test_the_same_repository_gives_the_same_files(tmp_path: Path) -> None:
    """Reproducible: whoever builds hubq can compare what they have with what was published."""
    digests: list[set[tuple[str, str]]] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        built = [
            Path(artifact)
            for builder in (WheelBuilder, SdistBuilder)
            for artifact in builder(str(ROOT)).build(directory=str(tmp_path / name), versions=["standard"])
        ]
        digests.append({(path.name, sha256(path.read_bytes()).hexdigest()) for path in built})
    assert digests[0] == digests[1] and len(digests[0]) == 2


def test_the_metadata_says_what_it_is_and_what_it_needs() -> None:
    metadata = WheelBuilder(str(ROOT)).metadata.core
    assert metadata.readme_content_type == "text/markdown" and "pip install" in metadata.readme
    assert metadata.requires_python == ">=3.11" and "Typing :: Typed" in metadata.classifiers
    assert all(">=" in need for need in metadata.dependencies), "each has a floor, which .ci/floors tries"
