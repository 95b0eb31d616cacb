"""Which children go to rest: decided without Redis, nodes or clocks (docs/dormant.md)."""

from __future__ import annotations

import random

import pytest

from hubq import Child, ConfigError, Hub
from hubq.core.idle import AT_WORK_MS, BOUNDED_LOOK, IdleChild, look_every, rests_after, who_rests


def test_a_child_rests_when_its_time_is_over_and_not_before() -> None:
    child = IdleChild("c", 1_000, 60)
    assert who_rests([child], 60_999, active=1, most=0) == []
    assert who_rests([child], 61_000, active=1, most=0) == ["c"]


def test_a_class_without_idle_after_rests_for_want_of_room_only() -> None:
    idle = [IdleChild(name, 0, None) for name in "abc"]
    assert who_rests(idle, 1e12, active=3, most=0) == []
    assert who_rests(idle, 1e12, active=3, most=3) == []
    assert len(who_rests(idle, 1e12, active=3, most=2)) == 1


def test_those_whose_time_is_over_count_before_others_have_to_go() -> None:
    idle = [IdleChild("old", 0, None), IdleChild("due", 5_000, 1)]
    assert who_rests(idle, 10_000, active=4, most=3) == ["due"], "then there is room"
    assert who_rests(idle, 10_000, active=4, most=2) == ["due", "old"]


def test_a_child_at_work_stays_though_there_are_too_many() -> None:
    idle = [IdleChild("now", 10_000 - AT_WORK_MS + 1, None), IdleChild("before", 10_000 - AT_WORK_MS, None)]
    assert who_rests(idle, 10_000, active=9, most=1) == ["before"]


def test_a_message_from_the_future_keeps_its_child_active() -> None:
    assert who_rests([IdleChild("c", 99_000, 1)], 10_000, active=9, most=1) == [], "the clocks differ"


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_more_than_needed_and_always_the_longest_idle(seed: int) -> None:
    rng = random.Random(seed)
    now, most = 1e6, rng.randrange(1, 60)
    idle = [
        IdleChild(number, rng.uniform(0, now), rng.choice([None, None, 1.0, 500.0, 5_000.0]))
        for number in range(rng.randrange(80))
    ]
    active = len(idle) + rng.randrange(20)  # (some are busy)
    chosen = set(who_rests(idle, now, active, most))
    due = {
        each.child for each in idle if each.rests_after is not None and now - each.last_ms >= each.rests_after * 1000
    }
    assert due <= chosen
    pressed = chosen - due
    assert len(pressed) <= max(0, active - len(due) - most)
    last = {each.child: each.last_ms for each in idle}
    stay = [each for each in idle if each.child not in chosen and now - each.last_ms >= AT_WORK_MS]
    if pressed:
        assert all(each.last_ms >= max(last[child] for child in pressed) for each in stay)
    if active - len(chosen) > most:
        assert stay == [], "all that may go have gone"


def test_how_often_a_node_looks() -> None:
    assert look_every(None, False) is None, "nobody rests: it never looks"
    assert look_every(None, True) == BOUNDED_LOOK
    assert look_every(0.4, True) == 0.1 and look_every(400, True) == BOUNDED_LOOK
    assert rests_after(None, 5) == 5 and rests_after(3, 5) == 3


# -- what users say ------------------------------------------------------------------------------------------------


class Plain(Child):
    pass


class Looping(Child):
    async def run(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (Plain, {"idle_after": 0}, "Plain.idle_after=0: give seconds above 0"),
        (Plain, {"idle_after": -1}, "Plain.idle_after=-1"),
        (Plain, {"idle_after": True}, "Plain.idle_after=True"),
        (Plain, {"idle_after": "60"}, "Plain.idle_after='60'"),
        (Plain, {"idle_after": float("nan")}, "Plain.idle_after=nan"),
        (Plain, {"expire_after": float("inf")}, "Plain.expire_after=inf"),
        (Plain, {"idle_after": 60, "expire_after": 59}, "expire_after=59 is shorter than its idle_after=60"),
        (Looping, {"idle_after": 60}, r"idle_after=60, and it has a run\(\)"),
        (Looping, {"expire_after": 60}, r"expire_after=60, and it has a run\(\)"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_its_reason(
    kind: type[Child], options: dict[str, object], said: str
) -> None:
    fresh = type(kind.__name__, (kind,), {"__module__": __name__})
    with pytest.raises(ConfigError, match=said):
        Hub("chat").child(**options)(fresh)


def test_settings_that_make_sense_are_taken() -> None:
    hub = Hub("chat", max_active=50_000)
    kind = hub.child(idle_after=60, expire_after=60)(type("Fine", (Child,), {"__module__": __name__}))
    assert (kind.idle_after, kind.expire_after, hub.config.max_active) == (60, 60, 50_000)
    assert (Child.idle_after, Child.expire_after, Hub("chat").config.max_active) == (None, None, 0)


@pytest.mark.parametrize("most", [-1, 1.5, True, "many"])
def test_a_bound_that_is_no_number_is_refused(most: object) -> None:
    with pytest.raises(ConfigError, match=r"max_active=.*give a number from 0 to"):
        Hub("chat", max_active=most)


def test_a_function_with_a_loop_of_its_own_never_rests() -> None:
    async def ticker(context: object) -> None:
        pass

    with pytest.raises(ConfigError, match=r"it has a run\(\)"):
        Hub("chat").child(idle_after=5)(ticker)
