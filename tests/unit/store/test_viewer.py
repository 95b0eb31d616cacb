"""Looking at stored values: nothing of them runs, whatever they are."""

from __future__ import annotations

import collections
import os
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubq.store.codec import encode, encode_json, version_of
from hubq.store.data_values import DataValues
from hubq.store.viewer import LONGEST, fields_of, look, plain, words


@dataclass
class Post:
    who: str = "ann"


class Acts:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class Setting(dict[str, int]):
    pass


def pickled(value: object, protocol: int = 5) -> bytes:
    return b"p" + pickle.dumps(value, protocol)


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_is_shown_by_name_and_nothing_is_called(protocol: int, tmp_path: Path) -> None:
    there = tmp_path / "made"
    data = pickled({"x": Acts(there), "p": Post()}, protocol)
    assert words(look(data)) == f"{{'x': <posix.mkdir({str(there)!r})>, 'p': <{__name__}.Post who='ann'>}}"
    assert not there.exists()
    pickle.loads(data[1:])
    assert there.exists(), "it was a pickle that acts"


def test_no_module_is_imported() -> None:
    assert words(look(b"pcthis_is_no_module\nat_all\n.")) == "<this_is_no_module.at_all>"
    assert words(look(b"pcthis_is_no_module\nat\x1b_all\n.")) == "<this_is_no_module.at\\x1b_all>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({1, 2}, "{1, 2}"), (set(), "set()"), (frozenset([1]), "frozenset({1})"), ((3,), "(3,)"), ([], "[]"), ("\x1b", r"'\x1b'"),
        (collections.deque([1], 5), "<collections.deque((), 5) [1]>"), (Setting(a=1), f"<{__name__}.Setting ['a', 1]>"),
        (ValueError("no"), "<builtins.ValueError('no')>"), (None, "None"), (2.5, "2.5"),
    ],
)  # fmt: skip
def test_what_is_shown(value: object, shown: str) -> None:
    assert words(look(pickled(value))) == shown


def test_a_number_of_more_digits_than_python_prints() -> None:
    assert words(look(pickled(10**5000))) == "<int of 16610 bits>"


def test_data() -> None:
    value = {"a": [1, b"x", datetime(2026, 5, 1, tzinfo=UTC)], 3: {"b": None}}
    assert words(look(DataValues().encode(value))) == "{'a': [1, b'x', '2026-05-01T00:00:00+00:00'], 3: {'b': None}}"
    for garbage in (b"m", b"m\xc1", b"m" + b"\x91" * 100_000, b"m\xc7\x01\x05"):
        with pytest.raises(ValueError, match="MessagePack"):
            look(garbage)


def test_json_and_traced_values() -> None:
    assert plain(look(encode_json({"a": [1, {"b": None}]}))) == {"a": [1, {"b": None}]}
    assert plain(look(b"t00-ab\n" + encode({"n": 1}))) == {"n": 1}
    with pytest.raises(ValueError, match="newer hubq"):
        look(b"zx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"t\n" * 100_000 + b"j1", "two lines in front"),
        (b"v2\nv3\nj1", "two lines in front"),
        (b"v3", "no end"),
        (b"j" + b"[" * 900 + b"]" * 900, "no JSON that can be shown"),
        (b"j" + b"[" * 100_000, "no JSON that can be shown"),
        (b"m" + b"\x91" * 100_000, "no MessagePack that can be shown"),
        (b"j{", "no JSON that can be shown"),
    ],
)
def test_what_is_chained_or_nested_without_end_is_an_error_of_one_kind(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        look(data)


@pytest.mark.parametrize("data", [b"v\xff\nj1", b"v\nj1", b"v3", b"v-1\nj1", b"v" + b"9" * 5_000 + b"\nj1"])
def test_what_is_no_version_is_an_error_of_one_kind(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"version|no end"):
        version_of(data)


def test_what_json_cannot_say_is_text() -> None:
    seen = plain(look(pickled({"a": {(1, 2): 3}, "b": float("nan"), "c": b"x", "d": (1,)})))
    assert seen == {"a": "{(1, 2): 3}", "b": "nan", "c": "b'x'", "d": [1]}


def test_a_cycle_and_a_value_that_is_far_larger_than_its_pickle_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert words(look(pickled(cycle))) == "[...]"
    bomb: Any = ()
    for _ in range(200):
        bomb = (bomb, bomb)
    assert len(words(look(pickled(bomb)))) < LONGEST + 100
    assert len(repr(plain(look(pickled({"a": bomb}))))) < 20 * LONGEST


@pytest.mark.parametrize(
    "data",
    [
        b"p", b"p.", b"pN", b"p(", b"pt.", b"p0.", b"pR.", b"pNNR", b"pb.", b"pNb", b"pe.", b"ph\x05.", b"p\x8c\xffabc.",
        b"p\x8d" + b"\xff" * 8 + b".",
        b"p\x96" + b"\xff" * 7 + b"\x7f.", b"pr\xff\xff\xff\x7f.", b"j{", b"t", b"pI" + b"9" * 5000 + b"\n.",
    ],
)  # fmt: skip
def test_what_is_no_pickle_is_an_error_of_one_kind(data: bytes) -> None:
    try:
        words(look(data))
    except ValueError:
        return


@given(st.binary(max_size=60), st.sampled_from([b"p", b"c", b"j", b"t", b""]), st.data())
def test_any_bytes(noise: bytes, tag: bytes, data: st.DataObject) -> None:
    good = pickle.dumps({"a": [Post(), (1, 2), {3}], "b": Setting(a=1)}, data.draw(st.sampled_from([0, 2, 5])))
    at = data.draw(st.integers(0, len(good)))
    for each in (noise, good[:at] + noise + good[at:], good[:at] + noise + good[at + len(noise) :]):
        try:
            seen = look(tag + each)
        except ValueError:
            continue
        assert words(seen).isprintable()
        plain(seen)
        fields_of(seen)


#: A list that holds itself twice, and so on: as text it would have 2**64 parts.
DOUBLED = b"]" + b"q\x00" + b"(h\x00h\x00eq\x01" * 2 + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(1, 65))


def test_a_pickle_that_doubles_itself_is_no_work_for_whoever_looks_at_it() -> None:
    with_name = b"p" + DOUBLED + b"h\x40h\x41\x93."  # STACK_GLOBAL of two lists
    assert look(with_name).name == "<list >.<list >"
    assert words(look(b"p" + DOUBLED + b".")).endswith("(cut)")


def test_arguments_that_are_given_many_times_are_counted() -> None:
    many = b"(" + b"K\x01" * 2_000 + b"tq\x00cbuiltins\nlist\nq\x01" + b"h\x01h\x00R0" * 600 + b"N."
    with pytest.raises(ValueError, match="more than 1000000 parts"):
        look(b"p" + many)


def test_long_names_are_cut() -> None:
    seen = look(b"p" + b"X\x00\x00\x01\x00" + b"m" * 65536 + b"q\x00h\x00\x93.")
    assert len(seen.name) == 401
    called = look(b"p" + b"X\x00\x00\x01\x00" + b"m" * 65536 + b")R.")
    assert len(called.name) < 300
