"""Values as data: what comes back, and what is refused."""

from __future__ import annotations

import collections
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, TypedDict
from uuid import UUID

import msgspec
import pytest

from hubq import BadArguments, Child, ConfigError, Hub, NotSendable, StartFailed, StateNotSavable, Unreadable
from hubq.core.arguments import check_class
from hubq.core.child import FunctionChild, State
from hubq.core.classes import ClassBook, as_child_class
from hubq.store.codec import encode
from hubq.store.data_states import same
from hubq.store.data_values import DataValues
from hubq.store.pickled_values import PickledValues

LIMIT = 1_000_000


class Colour(Enum):
    RED = "red"


@dataclass
class Post:
    who: str
    at: datetime
    tags: set[str] = field(default_factory=set)


class Price(msgspec.Struct):
    amount: Decimal
    colour: Colour = Colour.RED


class Line(TypedDict):
    text: str
    number: int


class Own:
    """A class of its own, which is no data."""


class Room(Child):
    posts: list[Post]
    prices: dict[UUID, Price]
    pair: tuple[int, str] = (0, "")
    kept: ClassVar[int] = 3

    def __init__(self, topic: str, at: datetime | None = None) -> None:
        self.posts, self.prices, self.seen = [], {}, []

    async def post(self, post: Post, times: int = 1, *rest: float, **named: UUID) -> Post: ...

    async def line(self, line: Line) -> list[Line]: ...

    async def plain(self, value, other=None): ...  # type: ignore[no-untyped-def]


NOW = datetime(2026, 5, 1, tzinfo=UTC)
POST = Post("ann", NOW, {"a", "b"})
PLAIN = [None, True, 1, -(2**63), 1.5, "ü", b"\x00\xff", [1, [2]], {"a": {"b": 1}, 3: "c"}, NOW]
DATA = DataValues()


def arguments(method: str, *args: Any, **kwargs: Any) -> Any:
    return DATA.arguments(Room, method, DATA.encode_arguments(args, kwargs, "room-1.post", getattr(Room, method)))


def test_arguments_come_back_as_they_are_annotated() -> None:
    uuid = UUID(int=7)
    args, kwargs = arguments("post", POST, 2, 1.0, 2.5, who=uuid)
    assert (list(args), kwargs) == ([POST, 2, 1.0, 2.5], {"who": uuid})
    args, kwargs = arguments("post", post=POST, times=3)
    assert (list(args), kwargs) == ([], {"post": POST, "times": 3})
    assert list(arguments("line", {"text": "x", "number": 1})[0]) == [{"text": "x", "number": 1}]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_as_they_are(value: Any) -> None:
    args, _ = arguments("plain", value)
    assert same(args[0], value)
    assert same(DATA.decode(DATA.encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [Own(), {1, 2}, POST, Price(Decimal(1)), Colour.RED, UUID(int=1), Decimal(1), 2**70, [Own()], {"a": {(1, 2): 3}}, object, print,
     datetime(2026, 1, 1), timedelta(1), collections.OrderedDict(a=1)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_arrive_as_something_else_is_refused_where_it_is_sent(value: Any) -> None:
    with pytest.raises(NotSendable, match=r"the arguments of room-1\.plain are no data .*annotate"):
        DATA.encode_arguments((value,), {}, "room-1.plain", Room.plain)
    with pytest.raises(NotSendable, match=r"event 'x' is no data"):
        DATA.encode_value(value, "event 'x'")
    with pytest.raises((TypeError, OverflowError)):
        DATA.encode_result(Room, "plain", value)


def test_what_no_data_can_be_is_refused_even_if_the_method_is_not_known() -> None:
    with pytest.raises(NotSendable, match="Own"):
        DATA.encode_arguments((Own(),), {}, "room-1.post")


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "why"),
    [
        (
            "post",
            [{"who": 7, "at": "2026-05-01T00:00:00Z"}],
            {},
            r"Room\.post: argument 'post': Expected `str`, got `int`",
        ),
        ("post", [{"who": "ann"}], {}, "required field `at`"),
        ("post", [POST, "2"], {}, r"argument 'times': Expected `int`, got `str`"),
        ("post", [POST, True], {}, "argument 'times'"),
        ("post", [POST, 1, "x"], {}, "argument 'number 3'"),
        ("post", [], {"who": "x"}, "argument 'who'"),
        ("line", [{"text": "x"}], {}, "number"),
    ],
)
def test_arguments_that_are_not_as_annotated_are_refused(method: str, args: list[Any], kwargs: Any, why: str) -> None:
    for data in (b"m" + msgspec.msgpack.encode((args, kwargs)), b"j" + msgspec.json.encode((args, kwargs))):
        for values in (DATA, PickledValues()) if data[:1] == b"m" else (DATA,):
            with pytest.raises(BadArguments, match=why):
                values.arguments(Room, method, data)


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("code ran",))


PICKLES = [
    b"p" + pickle.dumps(Evil()),
    b"c" + pickle.dumps(Evil()),
    b"v2\np" + pickle.dumps(Evil()),
    b"t{}\np" + pickle.dumps(Evil()),
]
GARBAGE = [
    b"",
    b"m",
    b"m\xc1",
    b"j",
    b"j{",
    b"x",
    b"v",
    b"v1",
    b"v1\nv1\nj1",
    b"\x80\x05",
    b"m\x92\x01\x02",
    b"j[1, 2]",
    b"t",
]


@pytest.mark.parametrize("data", [*PICKLES, *GARBAGE], ids=repr)
def test_nothing_but_data_is_read(data: bytes) -> None:
    for read in (
        lambda: DATA.arguments(Room, "post", data), lambda: DATA.start_arguments(Room, data),
    ):  # fmt: skip
        with pytest.raises(BadArguments):
            read()
    with pytest.raises((ValueError, msgspec.MsgspecError, Unreadable)):
        DATA.decode_state(Room, data)
    if data not in (b"m\x92\x01\x02", b"j[1, 2]"):
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            DATA.decode(data)


def test_while_a_hub_is_switched_pickles_are_read_too() -> None:
    switching = DataValues(reads_pickles=True)
    assert switching.arguments(Room, "plain", encode(((1,), {}))) == ((1,), {})
    assert switching.decode(encode({1, 2})) == {1, 2}
    assert switching.decode_state(Room, encode({"a": (1,)})) == {"a": (1,)}
    # And those that pickle still read data, typed.
    assert list(PickledValues().arguments(Room, "post", DATA.encode_arguments((POST,), {}, "x"))[0]) == [POST]
    assert PickledValues().decode_state(Room, DATA.encode_state(Room, {"posts": [POST]}, LIMIT, "r")) == {
        "posts": [POST]
    }
    assert PickledValues().decode(DATA.encode_result(Room, "post", POST), Room.post) == POST


def test_results_come_back_as_the_method_is_annotated_where_it_is_known() -> None:
    data = DATA.encode_result(Room, "post", POST)
    assert DATA.decode(data, Room.post) == POST
    assert DATA.decode(data) == {"who": "ann", "at": NOW, "tags": DATA.decode(data)["tags"]}


# -- states ------------------------------------------------------------------------------------------------------------


def test_a_state_comes_back_as_its_attributes_are_annotated() -> None:
    state = {
        "posts": [POST],
        "prices": {UUID(int=1): Price(Decimal("1.10"))},
        "pair": (1, "x"),
        "seen": [1, "two", {"a": b"3"}],
    }
    data = DATA.encode_state(Room, state, LIMIT, "room-1")
    assert data[:1] == b"m" and same(DATA.decode_state(Room, data), state)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("seen", {1}, "attribute 'seen' is a set"),
        ("seen", (1, 2), "attribute 'seen' is a tuple"),
        ("seen", [(1, 2)], "attribute 'seen' is a list"),
        ("seen", POST, "attribute 'seen' is a Post"),
        ("seen", collections.defaultdict(list), "attribute 'seen' is a defaultdict"),
        ("seen", Own(), "attribute 'seen'"),
        ("seen", 2**70, "attribute 'seen'"),
        ("posts", ["x"], "attribute 'posts' of Room cannot be read as it is annotated"),
        ("posts", (POST,), "attribute 'posts' is a tuple"),
    ],
)
def test_a_state_that_would_come_back_changed_is_not_saved(name: str, value: Any, why: str) -> None:
    with pytest.raises(StateNotSavable, match=f"child 'room-1'.*{why}"):
        DATA.encode_state(Room, {name: value}, LIMIT, "room-1")


def test_a_state_that_has_grown_is_tried_again() -> None:
    values, good, bad = DataValues(), list(range(1_000)), [*range(1_000), *[(n,) for n in range(5_000)]]
    values.encode_state(Room, {"seen": good}, LIMIT, "room-1")
    with pytest.raises(StateNotSavable, match="attribute 'seen'"):
        values.encode_state(Room, {"seen": [(1,)]}, LIMIT, "room-1", surely=True)
    with pytest.raises(StateNotSavable, match="attribute 'seen'"):
        values.encode_state(Room, {"seen": bad}, LIMIT, "room-1")


def test_a_saved_state_that_is_not_as_annotated_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="attribute 'posts' of Room"):
        DATA.decode_state(Room, b"m" + msgspec.msgpack.encode({"posts": 7}))


def test_the_state_of_a_function_is_a_state_again() -> None:
    async def job(ctx: FunctionChild, n: int) -> None: ...

    kind = as_child_class(job)
    data = DATA.encode_state(kind, {"state": State(n=1)}, LIMIT, "job-1")
    assert type(DATA.decode_state(kind, data)["state"]) is State


# -- registering -------------------------------------------------------------------------------------------------------


class OwnArgument(Child):
    async def take(self, thing: Own) -> None: ...


class OwnResult(Child):
    async def give(self) -> list[Own]: ...


class OwnAttribute(Child):
    thing: dict[str, Own]


class OwnStart(Child):
    def __init__(self, thing: Own) -> None: ...


class Unknown(Child):
    async def take(self, thing: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (OwnArgument, r"OwnArgument\.take\(thing\): the annotation Own cannot be converted"),
        (OwnResult, r"OwnResult\.give, what it returns: the annotation list\[.*Own\] cannot be converted"),
        (OwnAttribute, r"OwnAttribute\.thing: the annotation dict\[.*Own\] cannot be converted"),
        (OwnStart, r"OwnStart\.__init__\(thing\)"),
        (Unknown, r"Unknown\.take: its annotations cannot be read .*NoSuchName"),
    ],
)
def test_an_annotation_that_no_data_can_be_is_refused_when_its_class_is_registered(kind: type[Child], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Hub("chat", codec="data").child(kind)
    Hub("chat", codec="pickle").child(kind)


def test_only_registered_classes_are_built() -> None:
    book = ClassBook(check_class)
    book.register(Room)
    assert book.resolve("Room", "anywhere") is Room
    for name, module in (("OwnStart", __name__), ("Popen", "subprocess"), ("Hub", "hubq.client.hub"), ("s", "this")):
        with pytest.raises(StartFailed, match=f"no class '{name}' is registered"):
            book.resolve(name, module)
    assert book.resolve("HubqKeyedJobs", "hubq.jobs.keyed").__name__ == "HubqKeyedJobs"


@pytest.mark.parametrize("wrong", [{"codec": "json"}, {"reads_pickles": 1}])
def test_settings_of_the_codec_are_checked(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        Hub("chat", **wrong)
