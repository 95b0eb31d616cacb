"""Leases: the holder stops before Redis lets others in. The Redis clock: how far off it can be."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubq.core.lease import Lease, RedisClock

quick = settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow], database=None
)

# One renewal: pause before it, delay of the request, delay of the answer (None: the answer is lost). The unit does not
# matter; whole numbers, so that nothing is rounded.
renewals = st.lists(
    st.tuples(st.integers(0, 8_000), st.integers(0, 20_000), st.none() | st.integers(0, 20_000)), max_size=12
)


def history(steps: list[tuple[int, int, int | None]]) -> list[tuple[int, int, int | None]]:
    """(asked, arrived at Redis, answered) of every renewal. Requests stay in order, as on one connection."""
    made: list[tuple[int, int, int | None]] = []
    asked = arrived = 0
    for pause, there, back in steps:
        asked += pause
        arrived = max(arrived, asked + there)
        made.append((asked, arrived, None if back is None else arrived + back))
    return made


@quick
@given(steps=renewals, seconds=st.integers(1, 10_000), data=st.data())
def test_the_holder_stops_before_redis_lets_others_in(
    steps: list[tuple[int, int, int | None]], seconds: int, data: st.DataObject
) -> None:
    """Whatever the delays: at no moment does the holder believe in a lease that is over at Redis."""
    margin = data.draw(st.integers(0, seconds - 1), label="margin")
    lease = Lease(seconds, margin)
    granted: list[tuple[int, int, int | None]] = []
    for asked, arrived, answered in history(steps):
        if granted and arrived >= granted[-1][1] + seconds:
            break  # Too late: this renewal, and all after it, are answered "evicted".
        granted.append((asked, arrived, answered))
    answers = sorted((answered, asked) for asked, _, answered in granted if answered is not None)
    edges = {0, *(answered for answered, _ in answers)}
    edges |= {start + length for start, _, _ in granted for length in (seconds - margin, seconds)}
    edges |= {arrived + length for _, arrived, _ in granted for length in (0, seconds)}
    for now in sorted({max(edge + step, 0) for edge in edges for step in (-1, 0, 1)}):
        while answers and answers[0][0] <= now:
            lease.renewed(answers.pop(0)[1])
        ends = max((arrived + seconds for _, arrived, _ in granted if arrived <= now), default=0)
        if now >= ends:
            assert not lease.trusted(now)
            assert lease.over(now)
        if lease.trusted(now):
            assert now + margin < ends
            assert not lease.over(now)


@quick
@given(
    asked=st.integers(0, 10**6),
    there=st.integers(0, 10**5),
    seconds=st.integers(2, 10_000),
    data=st.data(),
)
def test_the_margin_covers_a_fast_redis_clock(asked: int, there: int, seconds: int, data: st.DataObject) -> None:
    """A Redis clock that runs up to ``seconds / (seconds - margin)`` times as fast does no harm."""
    margin = data.draw(st.integers(0, seconds - 1), label="margin")
    fastest = Fraction(seconds, seconds - margin)
    rate = 1 + (fastest - 1) * data.draw(st.fractions(0, 1), label="share of the fastest rate")
    lease = Lease(seconds, margin)
    lease.renewed(asked)
    ends = asked + there + seconds / rate  # in the holder's time
    assert not lease.trusted(ends)  # type: ignore[arg-type]


@quick
@given(asked=st.lists(st.integers(0, 1_000), min_size=1, max_size=6), order=st.randoms(use_true_random=False))
def test_answers_out_of_order_do_not_shorten_the_window(asked: list[int], order) -> None:
    lease = Lease(seconds=100, margin=10)
    shuffled = list(asked)
    order.shuffle(shuffled)
    for at in shuffled:
        lease.renewed(at)
    assert lease.trusted(max(asked) + 89)
    assert not lease.trusted(max(asked) + 90)
    assert not lease.over(max(asked) + 99)
    assert lease.over(max(asked) + 100)


@pytest.mark.parametrize("now", [0.0, 1e9, -1e9])
def test_a_lease_never_granted_is_not_trusted(now: float) -> None:
    lease = Lease(seconds=5, margin=1)
    assert not lease.trusted(now)
    assert lease.over(now)


# Milliseconds: pause, way there, way back.
trips = st.lists(
    st.tuples(st.integers(0, 60_000), st.integers(0, 3_000), st.integers(0, 3_000)), min_size=1, max_size=30
)
ROUNDING_MS = 0.01


@quick
@given(trips=trips, ahead=st.integers(-(10**9), 10**12), later=st.integers(0, 10**6))
def test_the_clock_is_off_by_half_the_round_trip_at_most(
    trips: list[tuple[int, int, int]], ahead: int, later: int
) -> None:
    clock = RedisClock()
    now, kept = 0, 0
    for pause, there, back in trips:
        sent = now + pause
        now = sent + there + back
        clock.observe(sent / 1000, now / 1000, sent + there + ahead)
        if clock.round_trip == now / 1000 - sent / 1000:
            kept = there + back  # This answer is the one the estimate comes from now.
        error = abs(clock.now_ms((now + later) / 1000) - (now + later + ahead))
        assert error <= kept / 2 + ROUNDING_MS
    assert clock.round_trip >= kept / 1000 - ROUNDING_MS


@quick
@given(there=st.integers(0, 5_000), back=st.integers(0, 5_000), ahead=st.integers(-(10**9), 10**9))
def test_one_answer_is_off_by_half_of_its_round_trip_at_most(there: int, back: int, ahead: int) -> None:
    clock = RedisClock()
    clock.observe(1.0, 1.0 + (there + back) / 1000, 1_000 + there + ahead)
    error = clock.now_ms(5.0) - (5_000 + ahead)
    assert abs(error) <= (there + back) / 2 + ROUNDING_MS
    assert error == pytest.approx((there - back) / 2, abs=ROUNDING_MS)


def test_a_slow_answer_does_not_displace_a_quick_one() -> None:
    clock = RedisClock()
    clock.observe(0.0, 0.002, 1_001)
    clock.observe(1.0, 3.0, 2_000)  # would be a whole second off
    assert clock.now_ms(10.0) == pytest.approx(11_000)


def test_an_old_estimate_gives_way_in_the_end() -> None:
    """Clocks drift: after enough answers that are a little slower than the best one, a new one is taken."""
    clock = RedisClock()
    clock.observe(0.0, 0.010, 5)
    for i in range(1, 200):
        clock.observe(float(i), i + 0.020, i * 1_000 + 10 + 7)  # Redis is 7 ms ahead by now
    assert clock.now_ms(300.0) == pytest.approx(300_007)
