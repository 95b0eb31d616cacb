"""What users install: the wheel has hubq and nothing else, the source distribution has all of the repository."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
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


def built(source: Path, into: Path) -> dict[str, str]:
    """The wheel and the source distribution of a tree: their names, and a digest of each."""
    into.mkdir()
    found = [
        Path(artifact)
        for builder in (WheelBuilder, SdistBuilder)
        for artifact in builder(str(source)).build(directory=str(into), versions=["standard"])
    ]
    assert len(found) == 2
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.long
@pytest.mark.parametrize("epoch", [None, "1700000000"])
def test_the_same_repository_gives_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str | None
) -> None:
    """Reproducible: whoever builds hubq, from the repository or from the source distribution, can compare what they have with what was
    published."""
    if epoch is None:
        monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    else:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    first = built(ROOT, tmp_path / "one")
    assert built(ROOT, tmp_path / "two") == first
    with tarfile.open(next((tmp_path / "one").glob("*.tar.gz"))) as archive:
        times = {member.mtime for member in archive}
        assert len(times) == 1 and (epoch is None or times == {int(epoch)})
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = built(unpacked, tmp_path / "three")
    (wheel,) = (name for name in first if name.endswith(".whl"))
    assert again[wheel] == first[wheel]


def test_twine_has_nothing_against_them(tmp_path: Path) -> None:
    names = built(ROOT, tmp_path / "made")
    command = [
        sys.executable,
        "-m",
        "twine",
        "--no-color",
        "check",
        "--strict",
        *(tmp_path / "made" / name for name in names),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_the_metadata_says_what_it_is_and_what_it_needs() -> None:
    metadata = WheelBuilder(str(ROOT)).metadata.core
    assert metadata.readme_content_type == "text/markdown" and "pip install" in metadata.readme
    assert metadata.requires_python == ">=3.11" and "Typing :: Typed" in metadata.classifiers
    assert all(">=" in need for need in metadata.dependencies), "each has a floor, which .ci/floors tries"
