"""How senders name methods."""

from __future__ import annotations

import pytest

from hubq import Child, ConfigError, UnknownMethod
from hubq.core.methods import name_of_method


class Room(Child):
    async def post(self) -> None: ...

    def _hidden(self) -> None: ...


@pytest.mark.parametrize("given", ["post", Room.post, Room().post])
def test_a_method_is_given_by_name_or_as_the_function(given: object) -> None:
    assert name_of_method(given) == "post"  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [Room._hidden, Room.on_start, Room.stop, lambda: None])
def test_what_callers_may_not_call_is_refused_before_it_is_sent(given: object) -> None:
    with pytest.raises(UnknownMethod, match="is no method that callers may call"):
        name_of_method(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, 3, Room, object(), b"post"])
def test_anything_else_is_one_clear_line(given: object) -> None:
    with pytest.raises(ConfigError, match=r"give its name, or the function in the child's class \(Room.post\)"):
        name_of_method(given)  # type: ignore[arg-type]
