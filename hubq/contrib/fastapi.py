"""hubq in a FastAPI app (docs/guide-apps.md). It needs ``pip install fastapi``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Path

from hubq.client.faces.typed_ref import AsyncTypedRef
from hubq.client.hub import Hub
from hubq.contrib.starlette import error_handlers, lifespan
from hubq.core.child import Child
from hubq.errors import ConfigError

__all__ = ["child_of", "error_handlers", "lifespan"]

K = TypeVar("K", bound=Child)


def child_of(hub: Hub, kind: type[K], parameter: str, prefix: str = "") -> Callable[..., AsyncTypedRef[K]]:
    """A dependency: the child that a parameter of the path names. ``prefix`` goes before its name.

    ``Annotated[AsyncTypedRef[Room], Depends(child_of(hub, Room, "name"))]`` in ``/rooms/{name}`` is ``hub.aio.ref(Room, name)``.
    A name that no child can have is answered with 404.

    Raises :class:`~hubq.errors.ConfigError` if ``parameter`` is no name of a parameter.
    """
    if not parameter.isidentifier():
        raise ConfigError(
            f"child_of(..., {parameter!r}): give the name of a parameter of the path, as `name` in /rooms/{{name}}"
        )

    def find(**path: str) -> AsyncTypedRef[K]:
        return hub.aio.ref(kind, prefix + path[parameter])

    # FastAPI reads the signature: this is how it comes to know the parameter, and to document it.
    annotation = Annotated[str, Path(description=f"The {kind.__name__}.")]
    named = inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    find.__signature__ = inspect.Signature([named])  # type: ignore[attr-defined]
    return find
