"""What ``hubq top`` shows, from made-up glances."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace

from hubq.cli.child_view import ChildSeen, child_text
from hubq.cli.top_view import COLUMNS, Order, View, plain
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import Mailbox, SavedState, Waiting
from hubq.client.operations.overview import Glance, NodeGlance, rates
from hubq.client.results import ChildStatus
from hubq.store.codec import encode
from hubq.store.vitals import Blocked, Vitals

IDLE = Vitals(incarnation=1, at=100.0, ready=True, children=10, shards=32, memory=50 * 2**20)


def glance(at: float = 100.0, **nodes: NodeGlance) -> Glance:
    owners = [sorted(nodes)[n % len(nodes)] if nodes else None for n in range(64)]
    event = Event("1-0", at, "node_joined", {"node": "a", "epoch": "7"})
    return Glance(at, list(nodes.values()), owners, {}, [event])


def node(
    name: str, vitals: Vitals | None = IDLE, status: str = "up", lease_left: float = 4.9, uptime: float = 60.0
) -> NodeGlance:
    return NodeGlance(name, status, 1, lease_left, uptime, vitals)


def view(*glances: Glance) -> View:
    made = View("chat", "redis://localhost", 5.0)
    for each in glances:
        made.saw(each)
    return made


def test_rates_come_from_two_accounts_of_the_same_incarnation() -> None:
    later = replace(IDLE, at=102.0, handled=500, failed=2, commits=40, cpu=0.5)
    before, after = glance(a=node("a")), glance(102.0, a=node("a", later))
    assert (rates(before, after)["a"].messages, rates(before, after)["a"].cpu) == (250.0, 0.25)
    assert rates(None, after)["a"].messages == 0.0
    anew = NodeGlance("a", "up", 2, 4.9, 1.0, later)
    assert rates(before, glance(102.0, a=anew))["a"].messages == 0.0


def test_rates_stay_until_the_next_account() -> None:
    later = replace(IDLE, at=102.0, handled=500)
    seen = view(glance(a=node("a")), glance(102.0, a=node("a", later)), glance(102.5, a=node("a", later)))
    assert seen.rates["a"].messages == 250.0


def test_the_ring_shows_owners_motion_and_what_nobody_owns() -> None:
    moving = replace(IDLE, moving=[0, 2])
    owners = ["a", "b"] * 31 + [None, None]
    seen = view(Glance(1.0, [node("a", moving), node("b")], owners, {}, []))
    picture, key = seen.ring(80).plain.split("\n")
    assert picture == "ab" * 31 + "!!"
    assert key == "a=a  b=b"
    assert next(span.style for span in seen.ring(80).spans) == "cyan reverse"


def test_a_large_ring_is_shown_in_groups() -> None:
    seen = view(Glance(1.0, [node("a")], ["a"] * 4096, {}, []))
    assert len(seen.ring(64).plain.split("\n")[0]) == 128


def test_nodes_are_sorted_and_filtered() -> None:
    busy = replace(IDLE, at=102.0, handled=900, children=3)
    first = glance(a=node("a"), b=node("b"), web=node("web"))
    seen = view(first, glance(102.0, a=node("a"), b=node("b", busy), web=node("web")))
    assert [each.name for each in seen.nodes()] == ["a", "b", "web"]
    seen.next_order()
    assert seen.order is Order.LOAD and seen.nodes()[0].name == "b"
    seen.next_order()
    assert seen.nodes()[-1].name == "b"
    seen.filter = "w"
    assert [each.name for each in seen.nodes()] == ["web"]


def test_states_of_a_node_are_said() -> None:
    def status(of: NodeGlance) -> str:
        return view(glance(a=of)).row(of)[1].plain

    assert status(node("a")) == ""
    assert status(node("a", status="draining")) == "draining"
    assert status(node("a", replace(IDLE, ready=False))) == "not ready"
    assert status(node("a", replace(IDLE, blocked=Blocked(99_000, "room-7", "post")))) == "blocked"
    assert status(node("a", None)) == "silent"
    assert status(node("a", None, uptime=1.0)) == "joins"


def test_what_is_wrong_is_counted_and_named() -> None:
    later = replace(
        IDLE, at=102.0, failed=5, parked=3, mailboxes={"1": 40, "2": 2}, unready="3 children cannot start on this worker: x",
        blocked=Blocked(88_000, "room-7", "post"),
    )  # fmt: skip
    seen = view(glance(a=node("a"), b=node("b")), glance(102.0, a=node("a", later), b=node("b")))
    assert seen.title().plain.endswith("served  2.5 failed/s  3 parked  42 waiting")
    said = ["a: blocked for 14 s by room-7.post", "a is not ready: 3 children cannot start on this worker: x"]
    assert seen.troubles().plain.splitlines() == said
    assert all(line in plain(seen) for line in said)
    assert view(glance(a=node("a"))).troubles().plain == ""


def test_trouble_is_said_and_the_old_picture_stays() -> None:
    seen = view(glance(a=node("a")))
    seen.trouble = "cannot reach Redis"
    assert seen.title().plain == "Trying again; this picture is 0 s old: cannot reach Redis"
    assert seen.nodes()
    seen.saw(glance(a=node("a")))
    assert "1 node " in seen.title().plain


def test_a_node_of_an_older_picture_may_have_left() -> None:
    seen = view(glance(a=node("a"), b=node("b")))
    before = seen.nodes()
    seen.saw(glance(a=node("a")))
    assert [seen.row(each)[0].plain for each in before] == ["a", "b"]


def test_an_old_picture_is_called_old_before_redis_counts_as_lost() -> None:
    now = [50.0]
    seen = View("chat", "redis://localhost", 5.0, clock=lambda: now[0])
    now[0] += 2.5
    assert seen.title().plain == "Redis is slow, or gone."
    seen.saw(glance(a=node("a")), 52.0)
    assert "1 node " in seen.title().plain and seen.row(node("a"))[2].style == "green"
    now[0] = 55.0
    assert seen.title().plain == "Redis is slow, or gone. This picture is 3 s old."
    assert seen.row(node("a"))[2].style == "dim", "its lease may be over by now"
    seen.trouble = "cannot reach Redis"
    assert seen.title().plain == "Trying again; this picture is 3 s old: cannot reach Redis"
    seen.trouble, seen.paused = "", True
    assert "1 node " in seen.title().plain and seen.title().plain.endswith("paused, 3 s ago")


def test_children_are_counted_and_the_dead_are_not() -> None:
    over = Glance(1.0, [node("a", lease_left=-3.0)], [None] * 64, {}, [], 100_000)
    assert view(over).title().plain == "chat 0 nodes, 1 gone  100,000 children  0 msg/s  0/64 shards served"
    of_groups = View("chat", "redis://localhost", 5.0, groups=4)
    of_groups.saw(over)
    assert of_groups.title().plain.endswith("0/64 shards served in 4 groups")
    assert view(over).row(over.nodes[0])[1].plain == "gone"


def test_the_leader_of_the_load_balancer_is_marked() -> None:
    seen = view(dataclasses.replace(glance(a=node("a"), b=node("b")), leader="b"))
    assert [seen.row(each)[0].plain for each in seen.nodes()] == ["a", "b *"]
    assert "b *" in plain(seen) and "* balances the load" in plain(seen)
    assert "*" not in plain(view(glance(a=node("a"), b=node("b")))), "nobody balances"


def test_everything_fits_into_80_columns() -> None:
    accounts = replace(IDLE, at=102.0, handled=10**7, children=1_000_000, queued=10**6, busiest={"room-1": 12345.0})
    text = plain(
        view(glance(**{"worker-1": node("worker-1")}), glance(102.0, **{"worker-1": node("worker-1", accounts)})), 80
    )
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "12,345/s  room-1  (worker-1)" in text
    assert "node_joined node=a epoch=7" in text


def test_shards_of_an_event_are_spans() -> None:
    claimed = Event("2-0", 100.0, "shards_claimed", {"node": "a", "shards": "0,1,2,3,7"})
    seen = view(dataclasses.replace(glance(a=node("a")), events=[claimed]))
    assert seen.events(6).plain.endswith("shards_claimed node=a shards=0-3,7")


def test_a_hub_without_workers() -> None:
    assert "0 nodes" in plain(view(glance()))


def test_a_wide_terminal_has_all_columns_and_a_narrow_one_those_that_matter() -> None:
    later = replace(IDLE, at=102.0, handled=400, failed=5, parked=3, mailboxes={"1": 50})
    labelled = dataclasses.replace(node("a", later), app_version="v7")
    seen = view(glance(a=node("a")), glance(102.0, a=labelled))
    columns, rows = seen.table(200)
    assert columns == list(COLUMNS)
    row = dict(zip(columns, (cell.plain for cell in rows["a"]), strict=True))
    assert (row["failed/s"], row["wait"], row["parked"], row["backlog"], row["app"]) == (
        "2.5",
        "250ms",
        "3",
        "50",
        "v7",
    )
    narrow, _ = seen.table(60)
    assert "backlog" in narrow and "queue" not in narrow and "memory" not in narrow


def test_versions_of_the_app_stand_beside_their_nodes_if_there_are_any() -> None:
    none, gone = view(glance(a=node("a"))), dataclasses.replace(node("c", lease_left=-1.0), app_version="v6")
    assert none.table(200)[0] == [column for column in COLUMNS if column != "app"]
    new = dataclasses.replace(node("b"), app_version="v7")
    columns, rows = view(glance(a=node("a"), b=new, c=gone)).table(200)
    at = columns.index("app")
    assert [row[at].plain for row in rows.values()] == ["-", "v7", "v6"]
    assert "  v7  " in plain(view(glance(a=node("a"), b=new)))
    assert "app" in view(glance(b=new)).table(60)[0], "in a deploy it is what matters"


def test_a_child_is_shown_with_all_that_redis_has_of_it() -> None:
    status = ChildStatus(
        "room-1", "Room", 6, "b", "running", False, 4, "", {"tag": "vip"}, 2, 2, "permanent", "", "", (), ()
    )
    waiting = Waiting("1-0", "room-1", "call", "post", 2.0, None, "", 10)
    state = SavedState("room-1", 6, "attributes", "1-0", 20, 1.0, encode({"topic": "redis", "posts": [1, 2]}))
    event = Event("1-0", 1.0, "child_migrated", {"child": "room-1", "node": "b"})
    seen = ChildSeen(status, Mailbox(6, 4, {}, 2.0, (waiting,)), state, [], "busy with post for 41 s", [event])
    text = child_text(seen).plain
    for said in (
        "room-1  Room  running  on b, shard 6, 4 messages wait", "busy with post for 41 s", "1-0  2.0s old  call post",
        "topic = 'redis'", "posts = [1, 2]", "reminders: none", "child_migrated node=b",
    ):  # fmt: skip
        assert said in text, text
