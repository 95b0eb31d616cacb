"""A class of the script itself: a worker cannot import it, and its own ``__main__`` is another script."""

from __future__ import annotations

import pytest

from hubq import Child
from hubq.core.classes import ClassBook
from hubq.errors import StartFailed


class Room(Child):
    """A child."""


def test_a_class_of_main_is_refused_and_it_is_said_what_to_do() -> None:
    book = ClassBook()
    with pytest.raises(StartFailed, match=r"'Room' is one of the script .*\(__main__\).*move it"):
        book.resolve("Room", "__main__")


def test_a_class_of_main_that_the_app_of_the_worker_registers_is_found() -> None:
    book = ClassBook()
    book.register(Room)
    assert book.resolve("Room", "__main__") is Room
