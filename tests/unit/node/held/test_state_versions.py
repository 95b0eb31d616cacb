"""A state of another version of its class: brought up to date, or refused."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hubq import Child, ConfigError, Hub, StateTooNew
from hubq.core.classes import ClassBook
from hubq.errors import Unreadable
from hubq.node.held.state import checked_version, lay_saved
from hubq.node.held.state_trial import try_state
from hubq.store.codec import decode, encode, encode_state, version_of
from hubq.store.envelope import Envelope
from hubq.store.pickled_values import PickledValues
from hubq.store.spec_record import SpecRecord
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


# -- hubq check ----------------------------------------------------------------------------------------------------


def why(kind: type[Child], envelope: Envelope | None, *args: Any) -> str:
    classes = ClassBook()
    classes.register(kind)
    record = SpecRecord(kind.__qualname__, kind.__module__, "s:1", arguments=encode((args, {})))
    return try_state(classes, PickledValues(), None, "cart", record, envelope, 1000)


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
