"""hubq in a Django project (docs/guide-apps.md): put ``hubq.contrib.django`` into ``INSTALLED_APPS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.contrib.django.answering import ErrorMiddleware
    from hubq.contrib.django.transactions import cast_on_commit, enqueue_on_commit

    hub: Hub

__all__ = ["ErrorMiddleware", "cast_on_commit", "enqueue_on_commit", "hub"]


def __getattr__(name: str) -> Any:
    """What needs Django's settings is imported when it is asked for."""
    if name == "hub":
        from hubq.contrib.django.configured import the_hub

        return the_hub()
    if name == "ErrorMiddleware":
        from hubq.contrib.django import answering

        return answering.ErrorMiddleware
    if name in ("cast_on_commit", "enqueue_on_commit"):
        from hubq.contrib.django import transactions

        return getattr(transactions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
