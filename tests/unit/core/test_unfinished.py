"""What is finished of a mailbox, against a model of the mailbox: a cut never takes what is not finished."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hubq.core.unfinished import ASKS, MOST, Unfinished


def ids(*numbers: int) -> list[bytes]:
    return [b"%d-%d" % (5 + n // 4, n % 4) for n in numbers]


def test_all_that_was_read_may_be_cut_off_once_it_is_finished() -> None:
    unfinished = Unfinished(complete=True)
    assert unfinished.cut() == b"", "nothing was read"
    unfinished.read([b"7-0", b"7-1", b"8-3", b"8-4"])
    assert unfinished.finished([[b"7-0"], [b"8-4"]])[0] == b""
    assert unfinished.finished([[b"7-1", b"8-3"]]) == (b"8-5", 0)
    unfinished.read([b"9-0"])
    assert unfinished.cut() == b"" and len(unfinished) == 1


def test_a_single_one_is_deleted_by_its_name() -> None:
    unfinished = Unfinished(complete=True)
    unfinished.read([b"7-0"])
    assert unfinished.finished([[b"7-0"]]) == (b"", 0) and unfinished.cut() == b"7-1"
    assert unfinished.finished([]) == (b"", 0)


def test_behind_the_last_number_there_is_no_place_to_cut() -> None:
    unfinished = Unfinished(complete=True)
    last = [b"7-18446744073709551615"]
    unfinished.read(last)
    unfinished.finished([last])
    assert unfinished.cut() == b""
    unfinished.read([b"8-0"])
    unfinished.finished([[b"8-0"]])
    assert unfinished.cut() == b"8-1"


def test_what_stood_there_before_is_known_to_be_gone_when_the_mailbox_was_empty() -> None:
    unfinished = Unfinished(complete=False)
    unfinished.read(ids(0, 1))
    cut, read = unfinished.finished([ids(0, 1)])
    assert (cut, read) == (b"", 2)
    unfinished.read(ids(2))  # while the answer is on its way
    unfinished.emptied(read)
    assert unfinished.cut() == b"" and len(unfinished) == 1
    unfinished.finished([ids(2)])
    assert unfinished.cut() == ids(3)[0]


def test_what_another_owner_has_deleted_is_in_the_way_until_the_mailbox_was_empty() -> None:
    unfinished = Unfinished(complete=True)
    unfinished.read(ids(0, 1, 2))  # the first is for a child that has a pin elsewhere
    cut, read = unfinished.finished([ids(1, 2)])
    assert (cut, read) == (b"", 3)
    unfinished.emptied(read)
    assert unfinished.cut() == ids(3)[0]


def test_it_asks_with_the_first_of_sixteen_commits_that_may_not_cut() -> None:
    unfinished = Unfinished(complete=True)
    unfinished.read(ids(0))
    asked = [unfinished.finished([ids(8, 9)])[1] for _ in range(2 * ASKS)]
    assert asked == 2 * [1, *[0] * (ASKS - 1)]


def test_it_holds_no_more_than_so_many_entries() -> None:
    unfinished = Unfinished(complete=True)
    many = [b"7-%d" % n for n in range(MOST + 1)]
    unfinished.read(many)
    assert len(unfinished) == 0
    cut, read = unfinished.finished([many])
    assert (cut, read) == (b"", MOST + 1), "it is not known what stands there"
    unfinished.emptied(read)
    assert unfinished.cut() == b"7-%d" % (MOST + 1)


def test_an_answer_says_nothing_of_what_was_forgotten_after_it_was_asked_for() -> None:
    unfinished = Unfinished(complete=True)
    unfinished.read(ids(0, 1, 2))
    _, asked = unfinished.finished([ids(0, 1)])
    assert asked == 3
    unfinished.read(b"9-%d" % n for n in range(MOST))  # more than it holds, while the answer is on its way
    unfinished.emptied(asked)
    unfinished.read([b"10-0", b"11-0"])
    assert unfinished.finished([[b"10-0", b"11-0"]])[0] == b"", "all that was forgotten may be there"
    unfinished.emptied(MOST + 5)
    assert unfinished.cut() == b"11-1"


def test_what_is_done_before_it_was_read_is_not_left_behind_a_cut() -> None:
    unfinished = Unfinished(complete=True)
    unfinished.read(ids(0, 1))
    unread = ids(2)
    assert unfinished.finished([ids(0, 1), unread])[0] == b""
    unfinished.read(ids(3, 4))
    assert unfinished.finished([ids(3, 4)]) == (ids(5)[0], 0)


def test_an_answer_from_before_it_was_begun_anew_says_nothing() -> None:
    before = Unfinished(complete=True)
    before.read(ids(0, 1, 2))
    _, asked = before.finished([ids(0, 1)])
    unfinished = before.begun_anew()
    unfinished.read(ids(8, 9, 10))
    unfinished.emptied(asked)
    assert len(unfinished) == 3 and unfinished.finished([ids(8, 9, 10)]) == (b"", 6)
    unfinished.emptied(6)
    assert unfinished.cut() == ids(11)[0]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "read", "read", "commit", "commit", "commit all", "commit unread", "another"]),
        st.randoms(use_true_random=False),
    ),
    max_size=60,
)


@given(steps=STEPS, before=st.integers(0, 5))
@settings(max_examples=200, derandomize=True, database=None)
def test_a_cut_takes_nothing_that_is_not_finished(steps: list[tuple[str, Random]], before: int) -> None:
    """``before``: so many entries had been read by somebody else when reading began (a pin), and are handled here as well."""
    mailbox: list[bytes] = ids(*range(before))
    put, cursor, hand = before, before, ids(*range(before))
    unfinished = Unfinished(complete=not before)
    for step, random in steps:
        match step:
            case "put":
                mailbox += ids(put)
                put += 1
            case "read":
                new = ids(*range(cursor, put))
                unfinished.read(entry for entry in new if entry in mailbox)
                hand += new
                cursor = put
            case "another":  # an owner of a pin deletes one
                if mailbox:
                    mailbox.remove(random.choice(mailbox))
            case _:
                some = list(hand) if step == "commit all" else random.sample(hand, random.randint(0, len(hand)))
                if step == "commit unread":  # what was withdrawn before it was read
                    some += [entry for entry in ids(*range(cursor, put)) if entry in mailbox]
                cut, asked = unfinished.finished([some])
                hand = [entry for entry in hand if entry not in some]
                gone = (
                    [entry for entry in mailbox if _key(entry) < _key(cut)]
                    if cut
                    else [e for e in mailbox if e in some]
                )
                assert set(gone) <= set(some), f"{cut!r} takes {gone} with {some}"
                mailbox = [entry for entry in mailbox if entry not in gone]
                assert not set(mailbox) & set(some), f"{cut!r} leaves what is done"
                if asked and not mailbox:
                    unfinished.emptied(asked)


def _key(entry: bytes) -> tuple[int, int]:
    ms, _, number = entry.partition(b"-")
    return int(ms), int(number)
