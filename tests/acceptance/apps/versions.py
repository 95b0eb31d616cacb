"""Versions of one app, as a deploy brings them: HUBQ_TEST_VERSION names one."""

import os

from hubq import Child, Hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)
VERSION = os.environ.get("HUBQ_TEST_VERSION", "good")

if VERSION == "renamed":

    @hub.child
    class Chamber(Child):
        """It was called Room."""

else:

    @hub.child
    class Room(Child):
        """Counts."""

        def __init__(self) -> None:
            if VERSION == "raises":
                raise RuntimeError("NO_SUCH_SETTING is not set")
            self.value = 0

        async def add(self) -> int:
            self.value += 1
            return self.value

        async def on_start(self) -> None:
            if VERSION == "cannot_begin":
                raise RuntimeError("the database has no such table")
