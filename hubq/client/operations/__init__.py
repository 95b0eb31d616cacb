"""Every question to a hub, once: generators over steps, without a word of waiting or awaiting."""

from hubq.client.operations.starts import (
    StartTicket,
    answer_of,
    call,
    checked_timeout,
    collect_start,
    drain,
    nodes,
    record_of,
    refusal,
    send,
    start_children,
    stop_children,
)

__all__ = [
    "StartTicket",
    "answer_of",
    "call",
    "checked_timeout",
    "collect_start",
    "drain",
    "nodes",
    "record_of",
    "refusal",
    "send",
    "start_children",
    "stop_children",
]
