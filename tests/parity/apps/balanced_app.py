"""A hub whose load is balanced, for tests/parity/test_load_balancer.py."""

import os

from hubq import CentralizedLoadBalancer, Hub
from hubq.testing import LedgerChild

hub = Hub(
    os.environ["HUBQ_TEST_HUB"],
    lease=2.0,
    lease_margin=0.5,
    distribution=CentralizedLoadBalancer(push_interval=0.2, rest=1.0),
)


@hub.child
class Measured(LedgerChild):
    """A ledger, and nothing else."""
