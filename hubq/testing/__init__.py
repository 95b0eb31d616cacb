"""For tests: an in-process cluster, a ledger, fakeredis, pytest fixtures. Usable for your own children too."""

from hubq.testing.cluster import Cluster
from hubq.testing.fake import FakeServer
from hubq.testing.ledger import Ledger, LedgerChild
from hubq.testing.load import Load, start_children
from hubq.testing.strays import stray_keys
from hubq.testing.waiting import eventually

__all__ = ["Cluster", "FakeServer", "Ledger", "LedgerChild", "Load", "eventually", "start_children", "stray_keys"]
