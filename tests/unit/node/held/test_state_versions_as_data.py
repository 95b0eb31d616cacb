"""``codec="data"``: a state of an older version reaches ``upgrade_state``, whatever the annotations say now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest

from hubq import Child, Unreadable
from hubq.core.classes import ClassBook
from hubq.node.held.state import lay_saved
from hubq.node.held.state_trial import try_state
from hubq.store.data_values import DataValues
from hubq.store.envelope import Envelope
from hubq.store.pickled_values import PickledValues
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values

WHEN = datetime(2026, 11, 29, tzinfo=UTC)


@dataclass
class Old:
    price: float


@dataclass
class Item:
    price: float
    currency: str


@dataclass
class Cents:
    cents: int = 0


class First(Child):
    """What the version before has written."""

    __qualname__ = "Cart"
    items: list[Old]
    total: str
    when: datetime
    tags: set[str]


class Cart(Child):
    state_version = 2
    given: ClassVar[list[dict[str, Any]]] = []
    returns: ClassVar[Any] = None
    transient = ("socket",)

    total: int = 0
    items: list[Item]
    when: datetime | None = None
    tags: set[str]

    def __init__(self) -> None:
        self.items, self.tags, self.socket = [], set(), object()

    def upgrade_state(self, state: dict[str, Any], version: int) -> Any:
        self.given.append(dict(state))
        if self.returns is not None:
            return self.returns
        return state | {
            "total": int(state["total"]),
            "items": [item | {"currency": "EUR"} for item in state["items"]],
            "socket": object(),
        }


STATE = {"items": [Old(1.5)], "total": "150", "when": WHEN, "tags": {"new"}}


def saved(state: dict[str, Any] = STATE, kind: type[Child] = First) -> Envelope:
    return Envelope("attributes", "7-0", DataValues().encode_state(kind, state, 10_000, "cart"))


def laid(kind: type[Child], envelope: Envelope, values: Values | None = None) -> Any:
    Cart.given.clear()
    cart = kind()
    assert not lay_saved(cart, envelope, values or DataValues())
    return cart


@pytest.mark.parametrize("values", [DataValues(), PickledValues()])
def test_annotations_that_have_changed_leave_plain_values(values: Values) -> None:
    cart = laid(Cart, saved(), values)
    assert Cart.given == [{"items": [{"price": 1.5}], "total": "150", "when": WHEN, "tags": {"new"}}]
    assert (cart.total, cart.items, cart.when, cart.tags) == (150, [Item(1.5, "EUR")], WHEN, {"new"})


def test_objects_may_be_returned_as_well_as_plain_values() -> None:
    class Objects(Cart):
        returns = {"items": [Item(2.0, "CHF")], "total": 7, "tags": ["a"], "free": {"of": "annotations"}}  # noqa: RUF012

    cart = laid(Objects, saved())
    assert (cart.items, cart.tags, cart.free) == ([Item(2.0, "CHF")], {"a"}, {"of": "annotations"})


def test_a_field_that_would_be_dropped_is_given() -> None:
    """A dataclass has another field now, with a default: read as it is annotated, the price would be gone."""

    class Renamed(Cart):
        items: list[Cents]  # type: ignore[assignment]

        def upgrade_state(self, state: dict[str, Any], version: int) -> Any:
            return {"items": [Cents(round(item["price"] * 100)) for item in state["items"]]}

    assert laid(Renamed, saved()).items == [Cents(150)]


def test_a_field_that_was_added_with_a_default_is_read() -> None:
    class Wider(msgspec.Struct):
        price: float
        currency: str = "EUR"

    Kept = type(
        "Kept",
        (Child,),
        {
            "__annotations__": {"items": list[Wider]},
            "state_version": 2,
            "upgrade_state": lambda self, state, version: state,
        },
    )
    assert laid(Kept, saved({"items": [Old(1.5)]})).items == [Wider(1.5)]


def test_what_fits_no_annotation_is_said_to_come_from_the_upgrade() -> None:
    class Wrong(Cart):
        returns = {"total": "much"}  # noqa: RUF012

    said = r"attribute 'total' of Wrong: upgrade_state returned a str that does not fit its annotation \(Expected `int`"
    with pytest.raises(Unreadable, match=said):
        laid(Wrong, saved())


class Handing(Cart):
    def prepare_handover_state(self) -> list[Item]:
        return self.items

    def alter_handover_state(self, current: dict[str, Any], handed: list[Item]) -> dict[str, Any]:
        return current | {"items": handed}

    def upgrade_state(self, state: Any, version: int) -> Any:
        return [item | {"currency": "EUR"} for item in state]


def test_what_was_handed_over_is_plain_too_and_comes_as_it_is_annotated() -> None:
    cart = laid(Handing, Envelope("handed", "7-0", b"m" + msgspec.msgpack.encode([Old(1.5)])))
    assert cart.items == [Item(1.5, "EUR")]


def test_a_state_of_this_version_is_read_as_it_is_annotated() -> None:
    newer = Envelope("attributes", "7-0", b"v2\nm" + msgspec.msgpack.encode({"total": "150"}))
    with pytest.raises(Unreadable, match="attribute 'total' of Cart cannot be read as it is annotated"):
        laid(Cart, newer)


def test_the_check_before_a_deploy_says_the_same() -> None:
    classes = ClassBook()
    record = SpecRecord(Cart.__qualname__, Cart.__module__, "s:1", arguments=b"m" + msgspec.msgpack.encode(((), {})))
    classes.register(Cart)
    assert try_state(classes, DataValues(), None, "cart", record, saved(), 1000) == ""
    bad = saved(STATE | {"total": "much"})
    assert "ValueError" in try_state(classes, DataValues(), None, "cart", record, bad, 1000)
