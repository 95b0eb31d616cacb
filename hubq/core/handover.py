"""The two sides of a handover as tables (docs/protocol.md, section 5)."""

from __future__ import annotations

from hubq.core.state_machine import Named, Table


class Source(Named):
    """Where a handover stands, seen by the node that gives a shard away."""

    SERVING = "serving"
    STARTING = "starting"
    CLOSING = "closing"
    COLLECTING = "collecting"
    PASSING = "passing"
    DISPOSING = "disposing"
    GONE = "gone"


class SourceEvent(Named):
    """What happens to the source of a handover."""

    BEGIN = "begin"
    STARTED = "child_start_resp"
    START_OVERDUE = "child_start_resp overdue"
    CLOSED = "intake closed"
    COLLECTED = "states collected"
    PASSED = "token passed"
    TARGET_GONE = "target gone"
    FENCED = "fenced"
    DISPOSED = "children disposed of"


class Target(Named):
    """Where a handover stands, seen by the node that takes a shard."""

    ABSENT = "absent"
    BUILDING = "building"
    READY = "ready"
    RESTORING = "restoring"
    SERVING = "serving"


class TargetEvent(Named):
    """What happens to the target of a handover."""

    START_CHILDREN = "start_children"
    BUILT = "children built"
    HANDOVER = "handover, or own name in owners"
    RESTORED = "states restored"
    OVERDUE = "handover overdue"
    FENCED = "fenced"


SOURCE = Table(
    "handover, source",
    {
        (Source.SERVING, SourceEvent.BEGIN): Source.STARTING,
        (Source.SERVING, SourceEvent.FENCED): Source.DISPOSING,
        (Source.STARTING, SourceEvent.STARTED): Source.CLOSING,
        (Source.STARTING, SourceEvent.START_OVERDUE): Source.SERVING,
        (Source.STARTING, SourceEvent.TARGET_GONE): Source.SERVING,
        (Source.STARTING, SourceEvent.FENCED): Source.DISPOSING,
        (Source.CLOSING, SourceEvent.CLOSED): Source.COLLECTING,
        (Source.CLOSING, SourceEvent.FENCED): Source.DISPOSING,
        (Source.COLLECTING, SourceEvent.COLLECTED): Source.PASSING,
        (Source.COLLECTING, SourceEvent.FENCED): Source.DISPOSING,
        (Source.PASSING, SourceEvent.PASSED): Source.DISPOSING,
        (Source.PASSING, SourceEvent.TARGET_GONE): Source.SERVING,
        (Source.PASSING, SourceEvent.FENCED): Source.DISPOSING,
        (Source.DISPOSING, SourceEvent.DISPOSED): Source.GONE,
    },
)

TARGET = Table(
    "handover, target",
    {
        (Target.ABSENT, TargetEvent.START_CHILDREN): Target.BUILDING,
        (Target.ABSENT, TargetEvent.HANDOVER): Target.RESTORING,
        (Target.BUILDING, TargetEvent.BUILT): Target.READY,
        (Target.BUILDING, TargetEvent.HANDOVER): Target.RESTORING,
        (Target.BUILDING, TargetEvent.OVERDUE): Target.ABSENT,
        (Target.BUILDING, TargetEvent.FENCED): Target.ABSENT,
        (Target.READY, TargetEvent.START_CHILDREN): Target.BUILDING,
        (Target.READY, TargetEvent.HANDOVER): Target.RESTORING,
        (Target.READY, TargetEvent.OVERDUE): Target.ABSENT,
        (Target.READY, TargetEvent.FENCED): Target.ABSENT,
        (Target.RESTORING, TargetEvent.RESTORED): Target.SERVING,
        (Target.RESTORING, TargetEvent.FENCED): Target.ABSENT,
        (Target.SERVING, TargetEvent.FENCED): Target.ABSENT,
    },
)
