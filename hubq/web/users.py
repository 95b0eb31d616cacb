"""Who looks at the web view, and what they may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hubq.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROLES = ("viewer", "operator")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who looks. A ``"viewer"`` sees everything, an ``"operator"`` may act, too. ``name`` stands in the events of their actions.

    Raises :class:`~hubq.errors.ConfigError` for another role, or an empty name.

    >>> User("ann", "operator").may_act
    True
    """

    name: str
    role: Literal["viewer", "operator"] = "viewer"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"role {self.role!r}: give one of {', '.join(ROLES)}")
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"name {self.name!r}: give the name of the user, a text")

    @property
    def may_act(self) -> bool:
        """Whether it is an operator."""
        return self.role == "operator"


#: Says who sends a request.
Auth = Callable[["Request"], "User | Response | Awaitable[User | Response | None] | None"]


def user_in_header(header: str, *, operators: Collection[str] = ()) -> Auth:
    """An ``auth`` for a view behind a proxy that has found out who it is, and says so in a header: ``user_in_header("X-Forwarded-User",
    operators={"ann"})``. The proxy must take that header away from all that comes from outside.
    """
    if isinstance(operators, str):
        raise ConfigError(f"operators={operators!r}: give a set of names, {{{operators!r}}}")

    def known(request: Request) -> User | None:
        name = request.headers.get(header, "")
        return User(name, "operator" if name in operators else "viewer") if name else None

    return known


def open_to_all(name: str = "everybody", role: Literal["viewer", "operator"] = "viewer") -> Auth:
    """An ``auth`` that lets everybody in: for a machine of one's own, or an app that has asked before."""
    user = User(name, role)
    return lambda request: user
