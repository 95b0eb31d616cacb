"""A state of another version of its class: brought up to date, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest

from hubq import Child, ConfigError, Hub, StateTooNew
from hubq.core.classes import ClassBook
from hubq.errors import Unreadable
from hubq.node.held.state import checked_version, lay_saved
from hubq.node.held.state_trial import try_state
from hubq.store.codec import decode, encode, encode_state, version_of
from hubq.store.data_values import DataValues
from hubq.store.envelope import Envelope
from hubq.store.pickled_values import PickledValues
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values
from hubq.store.viewer import look, words


class Cart(Child):
    state_version = 3
    transient = ("socket",)
    seen: ClassVar[list[tuple[Any, int]]] = []

    def __init__(self, currency: str = "EUR") -> None:
        self.cents: list[int] = []
        self.currency, self.socket = currency, object()

    def upgrade_state(self, state: Any, version: int) -> Any:
        self.seen.append((dict(state), version))
        if version == 1:
            state = {"cents": [round(price * 100) for price in state["prices"]]}
        return state | {"currency": "DM"}


class Handing(Cart):
    def prepare_handover_state(self) -> Any:
        return tuple(self.cents)

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        return current | {"cents": list(handed)}

    def upgrade_state(self, state: Any, version: int) -> Any:
        return tuple(cent * 100 for cent in state)


def saved(state: Any, version: int = 1, form: str = "attributes") -> Envelope:
    return Envelope(form, "7-0", encode_state(state, 10_000, "cart", version))


def laid(kind: type[Cart], envelope: Envelope) -> tuple[Cart, bool]:
    Cart.seen.clear()
    cart = kind()
    return cart, lay_saved(cart, envelope, PickledValues())


def test_a_version_stands_in_front_of_the_state_and_the_first_one_nowhere() -> None:
    first, third = encode_state({"n": 1}, 100, "c", 1), encode_state({"n": 1}, 100, "c", 3)
    assert first == encode({"n": 1}) and third == b"v3\n" + first
    assert (version_of(first), version_of(third)) == (1, 3)
    assert decode(third) == {"n": 1}
    assert words(look(third)) == words(look(first)) == "{'n': 1}"


def test_an_older_state_is_upgraded_from_its_own_version() -> None:
    cart, as_saved = laid(Cart, saved({"prices": [1.5]}))
    assert (cart.cents, cart.currency, Cart.seen) == ([150], "DM", [({"prices": [1.5]}, 1)])
    assert not as_saved, "what is saved is another thing: it must not be taken for the state of the last boundary"
    cart, _ = laid(Cart, saved({"cents": [7]}, 2))
    assert (cart.cents, Cart.seen[0][1]) == ([7], 2)


def test_a_state_of_this_version_is_laid_as_it_is() -> None:
    cart, as_saved = laid(Cart, saved({"cents": [7], "currency": "CHF"}, 3))
    assert (cart.cents, cart.currency, Cart.seen) == ([7], "CHF", [])
    assert as_saved


def test_a_state_that_lacks_an_attribute_is_not_all_there_is() -> None:
    cart, as_saved = laid(Cart, saved({"cents": [7]}, 3))
    assert cart.currency == "EUR" and not as_saved


def test_what_was_handed_over_is_upgraded_before_it_is_altered() -> None:
    cart, as_saved = laid(Handing, saved((1, 2), 1, "handed"))
    assert cart.cents == [100, 200] and not as_saved


def test_a_newer_state_is_not_laid() -> None:
    with pytest.raises(StateTooNew, match=r"version 4, and Cart\.state_version is 3 here"):
        laid(Cart, saved({"cents": []}, 4))


@pytest.mark.parametrize("data", [b"vx\np", b"v3", b"v\xff\np"])
def test_garbage_for_a_version_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        checked_version(Cart, Envelope("attributes", "7-0", data))


def test_an_upgrade_must_return_the_attributes() -> None:
    class Forgets(Cart):
        def upgrade_state(self, state: Any, version: int) -> Any:
            return None

    with pytest.raises(TypeError, match="upgrade_state returned NoneType"):
        laid(Forgets, saved({"prices": []}))


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "2", None])
def test_a_version_is_a_whole_number(version: Any) -> None:
    class Odd(Child):
        state_version = version

    with pytest.raises(ConfigError, match="state_version="):
        Hub("t").child(Odd)


def test_a_version_without_a_way_from_the_one_before_is_refused() -> None:
    class Second(Child):
        state_version = 2

    with pytest.raises(ConfigError, match="has no upgrade_state"):
        Hub("t").child(Second)

    async def job(context: Any) -> None: ...

    with pytest.raises(ConfigError, match="has no upgrade_state"):
        Hub("t").child(state_version=2)(job)


# -- as data -------------------------------------------------------------------------------------------------------


@dataclass
class OldItem:
    name: str


@dataclass
class Item:
    name: str
    cents: int


class OldBasket(Child):
    total: str
    items: list[OldItem]
    since: date
    key: UUID
    tags: set[str]
    price: Decimal


class Basket(Child):
    """The next version: a type is another one, and a dataclass has one more field."""

    state_version = 2
    transient = ("socket",)
    total: int
    items: list[Item]
    since: date
    key: UUID | None
    tags: dict[str, int]
    price: float
    socket: int
    seen: ClassVar[list[Any]] = []

    def upgrade_state(self, state: Any, version: int) -> Any:
        self.seen.append(dict(state))
        return state | {
            "total": int(state["total"]),
            "items": [{"name": item["name"], "cents": 0} for item in state["items"]],
            "tags": dict.fromkeys(state["tags"], 1),
            "price": float(state["price"]),
            "socket": object(),
        }


KEY = UUID("0475e30b-3b49-41d6-897d-e0d8c604c03e")
OLD_STATE = {
    "total": "7", "items": [OldItem("ham")], "since": date(2026, 1, 2), "key": KEY, "tags": {"a"}, "price": Decimal("1.50"),
}  # fmt: skip
DATA = DataValues()


def as_data(state: dict[str, Any], kind: type[Child] = OldBasket, form: str = "attributes") -> Envelope:
    return Envelope(form, "7-0", DATA.encode_state(kind, state, 10_000, "basket", handed=form == "handed"))


def laid_data(kind: type[Child], envelope: Envelope, values: Values = DATA) -> dict[str, Any]:
    basket = kind()
    assert not lay_saved(basket, envelope, values)
    return dict(basket.__dict__)


@pytest.mark.parametrize("values", [DATA, PickledValues()])
def test_what_no_longer_fits_its_annotation_reaches_the_upgrade_as_plain_values(values: Values) -> None:
    """The annotations are those of the new version. What it has left as it was arrives converted."""
    Basket.seen.clear()
    found = laid_data(Basket, as_data(OLD_STATE), values)
    assert Basket.seen == [
        {
            "total": "7",
            "items": [{"name": "ham"}],
            "since": date(2026, 1, 2),
            "key": KEY,
            "tags": ["a"],
            "price": "1.50",
        }
    ]
    assert found == {
        "total": 7, "items": [Item("ham", 0)], "since": date(2026, 1, 2), "key": KEY, "tags": {"a": 1}, "price": 1.5,
    }  # fmt: skip


def test_an_upgrade_may_return_objects_and_what_has_no_annotation_stays() -> None:
    class Returns(Basket):
        def upgrade_state(self, state: Any, version: int) -> Any:
            return {"items": [Item("egg", 3)], "since": "2026-03-04", "other": (1, 2)}

    assert laid_data(Returns, as_data(OLD_STATE)) == {
        "items": [Item("egg", 3)], "since": date(2026, 3, 4), "other": (1, 2),
    }  # fmt: skip


@pytest.mark.parametrize("total", ["7", None, object()])
def test_what_an_upgrade_returns_must_fit_the_annotations(total: object) -> None:
    class Misfit(Basket):
        def upgrade_state(self, state: Any, version: int) -> Any:
            return {"total": total}

    misfit = (
        rf"attribute 'total' of Misfit does not fit its annotation: upgrade_state returned a {type(total).__name__} \("
    )
    with pytest.raises(Unreadable, match=misfit):
        laid_data(Misfit, as_data(OLD_STATE))


def test_a_state_of_this_version_must_fit_as_before() -> None:
    class Other(Child):
        total: int

    with pytest.raises(Unreadable, match="attribute 'total' of Other cannot be read as it is annotated"):
        lay_saved(Other(), as_data(OLD_STATE), DATA)


class OldHanding(Child):
    def prepare_handover_state(self) -> list[str]: ...


class NewHanding(Child):
    state_version = 2

    def prepare_handover_state(self) -> list[int]: ...

    def upgrade_state(self, state: Any, version: int) -> Any:
        return [int(each) for each in state] if state != ["x"] else state

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        return {"numbers": handed}


def test_a_handed_over_state_that_no_longer_fits_is_upgraded_too() -> None:
    assert laid_data(NewHanding, as_data(["7"], OldHanding, "handed")) == {"numbers": [7]}  # type: ignore[arg-type]
    with pytest.raises(
        Unreadable, match="prepare_handover_state is annotated to return: upgrade_state returned a list"
    ):
        laid_data(NewHanding, as_data(["x"], OldHanding, "handed"))  # type: ignore[arg-type]


def test_garbage_of_an_earlier_version_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="attribute 'total' of Basket cannot be read"):
        laid_data(Basket, Envelope("attributes", "7-0", b"m" + b"\x81\xa5total\xa1\xff"))


# -- hubq check ----------------------------------------------------------------------------------------------------


def why(kind: type[Child], envelope: Envelope | None, *args: Any, values: Values | None = None) -> str:
    classes, values = ClassBook(), values or PickledValues()
    classes.register(kind)
    arguments = values.encode_start(kind, args, {}, "a start")
    record = SpecRecord(kind.__qualname__, kind.__module__, "s:1", arguments=arguments)
    return try_state(classes, values, None, "cart", record, envelope, 1000)


def test_a_state_that_fits_is_no_finding() -> None:
    assert why(Cart, None) == why(Cart, saved({"prices": [1]})) == why(Handing, saved((1,), 2, "handed")) == ""


def test_what_does_not_fit_is_said() -> None:
    assert "has version 4" in why(Cart, saved({}, 4))
    assert why(Cart, saved({"price": [1]})) == "its state cannot be restored: KeyError: 'prices'"
    assert why(Cart, None, "EUR", "more").startswith("Cart cannot be built: TypeError")
    assert "no saved state" in why(Cart, Envelope.read(b"garbage"))
    assert "max_state_bytes" in why(Cart, saved({"cents": list(range(1000))}, 3))
    missing = SpecRecord("Gone", "tests.unit.node.held.test_state_versions", "s:1", arguments=encode(((), {})))
    assert "cannot import 'Gone'" in try_state(ClassBook(), PickledValues(), None, "cart", missing, None, 1000)


def test_a_child_that_is_tried_says_nothing_to_others() -> None:
    class Talks(Cart):
        def upgrade_state(self, state: Any, version: int) -> Any:
            self.ref("stock").cast("take")
            return state

    assert "only tried here" in why(Talks, saved({"prices": []}))


def test_a_state_as_data_is_tried_with_its_upgrade() -> None:
    class Forgets(Basket):
        def upgrade_state(self, state: Any, version: int) -> Any:
            return state

    assert why(Basket, as_data(OLD_STATE), values=DATA) == ""
    assert "attribute 'total' of Forgets does not fit its annotation: upgrade_state returned a str" in why(
        Forgets, as_data(OLD_STATE), values=DATA
    )
