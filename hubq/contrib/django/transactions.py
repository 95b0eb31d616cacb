"""What is sent when the transaction of a request has been committed, and not at all if it is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from hubq.client.faces.ref import ChildRef
from hubq.client.faces.typed_ref import TypedRef
from hubq.contrib.django.configured import the_hub


def cast_on_commit(
    ref: ChildRef | TypedRef[Any],
    method: Any,
    *args: Any,
    using: str | None = None,
    robust: bool = False,
    **kwargs: Any,
) -> None:
    """``ref.cast(method, ...)`` after the commit; at once if there is no transaction. ``using``: which database; ``robust``: an
    error of the cast is logged, and later functions are called all the same.

    The arguments are read then: give values that do not change meanwhile.
    """
    transaction.on_commit(partial(ref.cast, method, *args, **kwargs), using=using, robust=robust)


def enqueue_on_commit(
    function: Callable[..., Any], *args: Any, using: str | None = None, robust: bool = False, **kwargs: Any
) -> None:
    """``hub.enqueue(function, ...)`` after the commit, with the hub of the settings; at once if there is no transaction."""
    transaction.on_commit(partial(the_hub().enqueue, function, *args, **kwargs), using=using, robust=robust)
