"""Where ``hubq.node`` finds it. To be removed when ``hubq.node.static`` imports :mod:`hubq.client.asking.async_session`."""

from hubq.client.asking.async_session import AsyncSession

__all__ = ["AsyncSession"]
