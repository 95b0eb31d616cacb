"""Commands that look at a whole hub show what its groups say that answer, and name the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from hubq.cli.output import say
from hubq.core.wording import left_out

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.errors import RedisUnavailable

#: The exit code for "Redis cannot be reached".
NO_REDIS = 3


@contextmanager
def of_those_that_answer(hub: Hub) -> Iterator[Mapping[int, RedisUnavailable]]:
    """Within it, what is asked of the hub is answered by the groups that answer. It gives the others, as far as they are known. At the
    end they are named on stderr, with the exit code for a Redis that cannot be reached.
    """
    with hub.inspect.reachable() as away:
        yield away
    if away:
        say(f"hubq: {left_out(away)}", sys.stderr)
        raise typer.Exit(NO_REDIS)
