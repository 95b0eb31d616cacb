"""The terms on which a message is tried again: what they may be, and where they stand."""

from __future__ import annotations

from typing import Any

import pytest
import rq
from hypothesis import given
from hypothesis import strategies as st

from hubq import Child, ConfigError, Hub, Retry
from hubq.core.callable_methods import retry_of


@given(
    wait=st.floats(0, 1000), backoff=st.floats(1, 10), more=st.floats(0, 1000), jitter=st.floats(0, 1),
    tried=st.integers(1, 1_000_000), chance=st.floats(0, 1),
)  # fmt: skip
def test_no_wait_is_longer_than_the_longest_and_its_jitter_and_none_is_shorter_than_the_one_before(
    wait: float, backoff: float, more: float, jitter: float, tried: int, chance: float
) -> None:
    longest = wait + more
    terms = Retry(wait=wait, backoff=backoff, longest=longest, jitter=jitter)
    assert wait <= terms.seconds(tried, chance) <= longest * (1 + jitter) + 1e-9
    assert terms.seconds(tried, 0.0) <= terms.seconds(tried + 1, 0.0)


@pytest.mark.parametrize(
    "values",
    [
        {"max": -1}, {"max": 1.5}, {"max": True}, {"wait": -1}, {"wait": "1"}, {"wait": float("nan")}, {"wait": float("inf")},
        {"backoff": 0.5}, {"longest": -1}, {"jitter": 2}, {"retry_on": "ValueError"}, {"retry_on": (ValueError, 3)},
        {"give_up_on": int}, {"wait": 301},
    ],
)  # fmt: skip
def test_a_value_that_it_cannot_have_is_named(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=rf"Retry\({name}="):
        Retry(**values)


def test_one_exception_need_not_be_in_a_tuple() -> None:
    assert Retry(retry_on=OSError, give_up_on=[FileNotFoundError]) == Retry(  # type: ignore[arg-type]
        retry_on=(OSError,), give_up_on=(FileNotFoundError,)
    )


class Order(Child):
    retry = Retry(max=5)

    @Retry(max=1)
    async def charge(self) -> None: ...

    async def ship(self) -> None: ...


class Express(Order):
    retry = None

    async def charge(self) -> None: ...


def test_a_method_has_its_own_terms_or_those_of_its_class() -> None:
    assert [retry_of(Order, name) for name in ("charge", "ship", "unknown")] == [
        Retry(max=1),
        Retry(max=5),
        Retry(max=5),
    ]
    assert retry_of(Express, "charge") is None


def test_terms_are_refused_where_a_second_try_would_begin_with_what_the_first_has_left() -> None:
    hub = Hub("h")
    hub.child(type("Good", (Order,), {}))
    with pytest.raises(ConfigError, match=r"Kept has a Retry, and Kept\.on_error='keep'"):
        hub.child(on_error="keep")(type("Kept", (Child,), {"retry": Retry()}))
    with pytest.raises(ConfigError, match=r"Marked\.charge has a Retry"):
        hub.child(on_error="keep")(type("Marked", (Express,), {"charge": Order.charge}))


def test_other_things_in_its_place_are_refused() -> None:
    hub = Hub("h")
    with pytest.raises(ConfigError, match=r"Odd\.retry=3 is a int: give hubq\.Retry"):
        hub.child(retry=3)(type("Odd", (Child,), {}))
    with pytest.raises(ConfigError, match=r"Odd\.retry=.* is a Retry: give hubq\.Retry"):
        hub.child(retry=rq.Retry(max=3))(type("Odd", (Child,), {}))
    with pytest.raises(ConfigError, match=r"Odd\.retry is a setting of hubq\.Child, and no method"):
        hub.child(type("Odd", (Child,), {"retry": Express.charge}))
    with pytest.raises(ConfigError, match=r"@Retry\(\.\.\.\) is for a method"):
        Retry()(type("Odd", (Child,), {}))
