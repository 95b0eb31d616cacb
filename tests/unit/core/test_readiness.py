"""Whether a worker is ready, and what is said if it is not."""

from __future__ import annotations

import pytest

from hubq.core.readiness import LONGEST, NOT_SERVING, why_unready

ONE = {"room-1": "cannot import 'Room'"}
MANY = {f"room-{n}": "cannot import 'Room'" for n in range(50)}


@pytest.mark.parametrize(
    ("serves_all", "failed", "tolerated", "said"),
    [
        (True, {}, 0, ""),
        (False, {}, 0, NOT_SERVING),
        (True, ONE, 1, ""),
        (False, ONE, 1, NOT_SERVING),
        (True, ONE, 0, "1 child cannot start on this worker: room-1: cannot import 'Room'"),
        (False, ONE, 0, "1 child cannot start on this worker: room-1: cannot import 'Room'"),
        (True, MANY, 50, ""),
        (
            True, MANY, 49,
            "50 children cannot start on this worker: room-0, room-1, room-2 and 47 more: cannot import 'Room'",
        ),
    ],
)  # fmt: skip
def test_a_worker_is_ready_when_it_serves_all_and_can_run_what_comes(
    serves_all: bool, failed: dict[str, str], tolerated: int, said: str
) -> None:
    assert why_unready(serves_all=serves_all, failed=failed, tolerated=tolerated) == said


def test_the_cause_of_most_is_said_and_the_others_are_counted() -> None:
    failed = {**MANY, "a": "no network", "b": "no disk"}
    said = why_unready(serves_all=True, failed=failed)
    assert said.startswith("52 children cannot start") and said.endswith("'Room'; 2 more for 2 other causes")


def test_the_reason_is_one_line_of_bounded_length() -> None:
    said = why_unready(serves_all=True, failed={"a": "first\nsecond\r\n" + "x" * 10_000})
    assert "first second xxx" in said and len(said) < LONGEST + 100
