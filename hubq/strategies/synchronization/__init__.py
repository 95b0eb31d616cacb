"""How views of who owns what are kept true: :class:`PubSub` (default) and :class:`Polling`."""

from hubq.strategies.synchronization.polling import Polling
from hubq.strategies.synchronization.protocol import Synchronization
from hubq.strategies.synchronization.pub_sub import PubSub

__all__ = ["Polling", "PubSub", "Synchronization"]
