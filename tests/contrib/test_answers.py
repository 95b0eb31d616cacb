"""What an error of hubq is over HTTP, and where the commands of hubq get their hub from."""

from __future__ import annotations

from typing import Any

import pytest

from hubq import Hub
from hubq.cli.commands import every_command
from hubq.cli.within import GROUPS, WITHOUT_HUB, where_is, with_hub
from hubq.contrib.answers import KNOWN, answer_to
from hubq.errors import CallTimeout, ConfigError, RedisRefused, UnknownChild

SECRET = "child 'room-1' in hub 'chat' at redis://secret"

hub = Hub("here")


@pytest.mark.parametrize("kind", KNOWN)
def test_no_answer_tells_names(kind: type[Any]) -> None:
    error = kind(SECRET)
    answer = answer_to(error)
    assert answer.status in (404, 409, 413, 429, 503, 504)
    assert "room-1" not in str(answer) and "secret" not in str(answer)
    assert answer.body == {"error": kind.__name__, "detail": answer.detail}
    assert ("Retry-After" in answer.headers) == (answer.status in (429, 503))


def test_what_derives_from_a_known_error_is_answered_alike() -> None:
    class NoRoom(UnknownChild):
        pass

    assert answer_to(NoRoom("x")).status == 404
    assert answer_to(RedisRefused("out of memory")).status == 503


def test_a_call_that_was_not_handled_may_be_tried_again() -> None:
    assert answer_to(CallTimeout("x", may_run=False)).headers == {"Retry-After": "5"}
    assert answer_to(CallTimeout("x")).status == 504


def test_hub_goes_where_each_command_wants_it() -> None:
    """Every command of hubq that takes a HUB gets it, and no other."""
    for name, command in every_command():
        subcommands = [([name], command)] if name not in GROUPS else [
            ([name, sub], each) for sub, each in command.commands.items()
        ]  # fmt: skip
        for words, each in subcommands:
            arguments = [param.name for param in each.params if param.param_type_name == "argument"]
            takes = bool(arguments) and (arguments[0] in ("hub", "app") or words == ["deploy"])
            if words == ["deploy"]:
                continue  # its first argument is the platform
            assert (with_hub([*words, "x"], "shop:hub") == [*words, "shop:hub", "x"]) == takes, words
            assert (" ".join(words) in WITHOUT_HUB) != takes, words


def test_options_come_before_nothing() -> None:
    assert with_hub([], "shop:hub") == []
    assert with_hub(["-h"], "shop:hub") == ["-h"]
    assert with_hub(["dead"], "shop:hub") == ["dead"]
    assert with_hub(["dead", "--help"], "shop:hub") == ["dead", "--help"]
    assert with_hub(["call", "room-1", "post", "-h"], "shop:hub") == ["call", "shop:hub", "room-1", "post", "-h"]


def test_a_hub_is_found_by_its_module() -> None:
    assert where_is(hub, __name__) == where_is(hub) == f"{__name__}:hub"
    with pytest.raises(ConfigError, match="is an attribute of no module"):
        where_is(Hub("nowhere"))
