"""The words of the demo: every word of the Python standard library's source."""

from __future__ import annotations

import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from zlib import crc32

_WORD = re.compile(r"\w+")

#: Not the standard library, or not source.
_SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__"})


def source_files() -> list[str]:
    """The files of the standard library, in the same order for everybody."""
    found: list[str] = []
    for folder, folders, files in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        found += (os.path.join(folder, name) for name in files if name.endswith(".py"))
    return sorted(found)


def count_words(files: Iterable[str]) -> Counter[str]:
    """The words of some files, each with how often it occurs."""
    words: Counter[str] = Counter()
    for path in files:
        with open(path, encoding="utf-8", errors="replace") as file:
            words.update(_WORD.findall(file.read()))
    return words


def bucket_of(word: str, buckets: int) -> int:
    """The bucket in which a word is counted.

    >>> bucket_of("import", 200) == bucket_of("import", 200)
    True
    """
    return crc32(word.encode()) % buckets


def split(words: Counter[str], buckets: int) -> list[dict[str, int]]:
    """The same words, by bucket.

    >>> sum(len(part) for part in split(Counter({"import": 2, "def": 1}), 7))
    2
    """
    parts: list[dict[str, int]] = [{} for _ in range(buckets)]
    for word, times in words.items():
        parts[bucket_of(word, buckets)][word] = times
    return parts


def chunks(files: list[str], feeder: int, feeders: int, count: int) -> Iterator[list[str]]:
    """One feeder's share of the files, in ``count`` chunks of about the same size.

    >>> [chunk for feeder in (0, 1) for chunk in chunks(list("abcdefgh"), feeder, 2, 2)]
    [['a', 'e'], ['c', 'g'], ['b', 'f'], ['d', 'h']]
    """
    own = files[feeder::feeders]
    for number in range(count):
        yield own[number::count]
