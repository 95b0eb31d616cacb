"""How views of who owns what are kept true: :class:`PubSub` (default) and :class:`Polling`."""

from typing import TYPE_CHECKING

from hubq.strategies.at_first_use import at_first_use
from hubq.strategies.synchronization.protocol import Synchronization
from hubq.strategies.synchronization.pub_sub import PubSub

if TYPE_CHECKING:
    from hubq.strategies.synchronization.polling import Polling
else:
    __getattr__ = at_first_use(__name__, {"Polling": "polling"})

__all__ = ["Polling", "PubSub", "Synchronization"]
