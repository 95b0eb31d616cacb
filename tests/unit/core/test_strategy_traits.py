"""What a strategy says of itself, and what is taken where it says nothing: classes of users need not name it."""

from __future__ import annotations

from hubq import ColdSwap, HotSwap
from hubq.strategies.distribution import CentralizedLoadBalancer, ConsistentHashing, DistributionTraits, Guided
from hubq.strategies.migration import MigrationTraits
from hubq.strategies.partition_tolerance import Divergence, PartitionTraits, StaticQuorum


class OfAUser:
    """Written before there were such attributes, and of its own it has one."""

    retention = 60.0


def test_a_migration_says_how_long_things_may_take() -> None:
    assert MigrationTraits.of(HotSwap(retention=1.0, handover=False)) == MigrationTraits(retention=1.0, handover=False)
    assert MigrationTraits.of(ColdSwap(handover_data_wait=9.0)) == MigrationTraits(handover_data_wait=9.0)
    assert MigrationTraits.of(OfAUser()) == MigrationTraits(retention=60.0)
    assert MigrationTraits() == MigrationTraits.of(HotSwap()), "the defaults are those of the default strategy"


def test_a_distribution_says_whether_it_guides_and_whether_it_looks_at_loads() -> None:
    balancer = CentralizedLoadBalancer(push_interval=3.0)
    assert DistributionTraits.of(balancer).balancing is balancer
    assert DistributionTraits.of(Guided()) == DistributionTraits(guides=True, when_gone="wait")
    assert DistributionTraits.of(ConsistentHashing()) == DistributionTraits.of(OfAUser()) == DistributionTraits()


def test_a_partition_tolerance_is_asked_unless_it_says_that_it_need_not_be() -> None:
    assert not PartitionTraits.of(Divergence()).needs_quorum
    assert PartitionTraits.of(StaticQuorum(2)).needs_quorum and PartitionTraits.of(OfAUser()).needs_quorum
