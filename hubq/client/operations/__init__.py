"""Every question to a hub, once: generators over steps, without a word of waiting or awaiting.

A driver (:mod:`hubq.client.asking.driver`) runs them. Named here are those that the layers above build their own upon.
"""

from hubq.client.operations.calls import send
from hubq.client.operations.starts import collect_start, record_of, start_children

__all__ = ["collect_start", "record_of", "send", "start_children"]
