"""What may be told of progress, and what stands in Redis."""

from __future__ import annotations

from typing import Any

import pytest

from hubq import InvalidProgress, Progress
from hubq.core.progress import progress_of, read_progress, written


@pytest.mark.parametrize(
    "told",
    [(-1, None, ""), (1, -1, ""), ("3", 10, ""), (True, None, ""), (float("nan"), 1, ""), (1, 2, None), (1, "2", "")],
)
def test_what_is_no_progress_is_refused(told: Any) -> None:
    with pytest.raises(InvalidProgress, match="give how much is done"):
        progress_of(*told, 0.0)


def test_what_is_told_is_read_again() -> None:
    for done, total, text in ((3, 10, "copying"), (0.5, None, ""), (0, 0, "größer\n\ud800")):
        told = progress_of(done, total, text, 12.3456)
        again = read_progress(written(told, "s:1").encode(), "s:1")
        assert again is not None and (again.done, again.total, again.at) == (done, total, 12.346)
        assert again.text == text.encode("utf-8", "replace").decode()
        assert read_progress(written(told, "s:1").encode(), "s:2") is None, "of an earlier start"


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        b"null",
        b'["x",2,"",1,""]',
        b'[1,2,"","now",""]',
        b'[1,2,"",1e999,""]',
        b"[" * 9999,
    ],
)
def test_what_is_malformed_is_no_progress(data: bytes | None) -> None:
    assert read_progress(data) is None


def test_for_people() -> None:
    assert [str(Progress(*each)) for each in ((3, 10, "x"), (999, 1000), (12, 10), (1.5, 3.0), (7, None, "y"), (0, 0))] == [
        "3/10 (30%) x", "999/1000 (99%)", "12/10 (100%)", "1.5/3 (50%)", "7 y", "0/0 (100%)",
    ]  # fmt: skip
    assert len(progress_of(1, 1, "x" * 999, 0.0).text) == 200
