"""For tests: an in-process cluster, a ledger, fakeredis, pytest fixtures. Usable for your own children too."""

from hubq.node.runtime.tasks import end_tasks
from hubq.testing import connections, interfere, moments
from hubq.testing.clock import Clock
from hubq.testing.cluster import Cluster
from hubq.testing.fake import FakeServer
from hubq.testing.ledger import Ledger, LedgerChild
from hubq.testing.load import Load, start_children
from hubq.testing.probe import ChildHere, Probe, probe
from hubq.testing.strays import stray_keys
from hubq.testing.waiting import eventually

__all__ = [
    "ChildHere",
    "Clock",
    "Cluster",
    "FakeServer",
    "Ledger",
    "LedgerChild",
    "Load",
    "Probe",
    "connections",
    "end_tasks",
    "eventually",
    "interfere",
    "moments",
    "probe",
    "start_children",
    "stray_keys",
]
