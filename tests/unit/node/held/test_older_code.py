"""States on their way to older code: what they become, and which cannot go."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq import Child, StateTooLarge
from hubq.config import Config
from hubq.core.lifecycle import LifeEvent
from hubq.node.children.saver import Saver
from hubq.node.held.holding import HostedChild
from hubq.node.held.older_code import OlderCode, downgraded
from hubq.node.held.state import ATTRIBUTES, HANDED, take_state
from hubq.node.runtime.sizes import Sizes
from hubq.store.codec import decode, version_of
from hubq.store.data_values import DataValues
from hubq.store.envelope import Envelope
from hubq.store.membership import NodeInfo
from hubq.store.pickled_values import PickledValues
from hubq.store.values import Values
from tests.unit.node.fakes import a_holding
from tests.unit.node.movers import a_child, running


class Services:
    """What a child's state is written with."""

    node_name, seal = "a", None

    def __init__(self, values: Values) -> None:
        self.values = values


class OneWay(Child):
    state_version = 3
    transient = ("socket",)

    def __init__(self) -> None:
        self.cents: Any = [150]
        self.socket = object()

    def upgrade_state(self, state: Any, version: int) -> Any:
        return state


class Cart(OneWay):
    def downgrade_state(self, state: Any, version: int) -> Any:
        state["cents"].append(version)
        return {"prices": state["cents"]}


class Handing(Cart):
    def prepare_handover_state(self) -> Any:
        return list(self.cents)

    def downgrade_state(self, state: Any, version: int) -> Any:
        return tuple(state)


class Forgets(OneWay):
    def downgrade_state(self, state: Any, version: int) -> Any:
        return None


def hosted(kind: type[Child], values: Values | None = None) -> HostedChild:
    child = a_child(a_holding(), "cart", kind)
    child.services = cast(Any, Services(values or PickledValues()))
    child.made(kind())
    return running(child)


def knows(**versions: int) -> OlderCode:
    """``b`` has these classes, ``c`` does not say."""
    older = OlderCode()
    older.seen({"b": NodeInfo(1, "up", 0, state_versions=versions), "c": NodeInfo(1, "up", 0)})
    return older


def asked(child: HostedChild, there: int) -> tuple[int, str]:
    older = knows(**{child.record.name: there})
    return older.version_for(child, "b"), older.refusal(child, "b")


@pytest.mark.parametrize("values", [PickledValues(), DataValues()])
def test_a_copy_of_the_state_is_brought_back(values: Values) -> None:
    cart = hosted(Cart, values)
    data = downgraded(cart, take_state(cart, 1000), ATTRIBUTES, 2, 1000)
    assert version_of(data) == 2 and decode(data) == {"prices": [150, 2]}
    assert cast(Any, cart.instance).cents == [150]
    assert version_of(downgraded(cart, take_state(cart, 1000), ATTRIBUTES, 1, 1000)) == 1
    with pytest.raises(StateTooLarge):
        downgraded(cart, take_state(cart, 1000), ATTRIBUTES, 2, 5)


def test_what_is_handed_over_is_brought_back() -> None:
    saver = Saver(Config(), Sizes(Config()), cast(Any, None), cast(Any, None))
    _, written = asyncio.run(saver.hand_over(hosted(Handing), True, 2))
    envelope = Envelope.read(cast(bytes, written))
    assert (envelope.form, version_of(envelope.data), decode(envelope.data)) == (HANDED, 2, (150,))


def test_a_child_that_stays_after_all_is_saved_as_it_is() -> None:
    saver, cart = Saver(Config(), Sizes(Config()), cast(Any, None), cast(Any, None)), hosted(Cart)
    cart.laid(take_state(cart, 1000))
    assert asyncio.run(saver.hand_over(cart, True)) == ("cart", None), "Redis has it"
    _, written = asyncio.run(saver.hand_over(cart, True, 2))
    assert version_of(Envelope.read(cast(bytes, written)).data) == 2 and not cart.saved


def test_the_attributes_must_be_returned() -> None:
    cart = hosted(Forgets)
    with pytest.raises(TypeError, match="downgrade_state returned NoneType"):
        downgraded(cart, take_state(cart, 1000), ATTRIBUTES, 2, 1000)
    assert "version 2 for b: TypeError" in knows(**{cart.record.name: 2}).trial(cart, "b", 1000)


def test_only_what_older_code_cannot_read_is_refused() -> None:
    assert asked(hosted(OneWay), there=3) == asked(hosted(OneWay), there=4) == (3, "")
    version, why = asked(hosted(OneWay), there=2)
    assert version == 2 and why.startswith("its state has version 3, and OneWay.state_version is 2 on b")
    assert asked(hosted(Cart), there=2) == (2, "")
    assert asked(hosted(Cart), there=-7) == (1, "")
    assert knows(Other=1).refusal(hosted(OneWay), "b") == knows().refusal(hosted(OneWay), "c") == "", "it is not known"


def test_a_parked_child_has_written_nothing() -> None:
    child = a_child(a_holding(), "cart", OneWay)
    child.moved(LifeEvent.FAILED)
    assert knows(**{child.record.name: 2}).refusal(child, "b") == ""
