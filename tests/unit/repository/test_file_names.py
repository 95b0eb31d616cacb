"""pytest collects a test module by its name within its packages: two of the same name cannot be run together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def module_name(path: Path) -> str:
    """The name as pytest makes it: the folders above belong to it as long as each is a package."""
    name, folder = path.stem, path.parent
    while (folder / "__init__.py").exists():
        name, folder = f"{folder.name}.{name}", folder.parent
    return name


def test_no_two_test_files_have_the_same_name() -> None:
    names = Counter(module_name(path) for path in Path(__file__).resolve().parents[2].rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
