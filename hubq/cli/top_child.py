"""One child in ``hubq top``: a screen of its own, looked at again and again in a thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from hubq.cli.child_view import child_text, look_at
from hubq.errors import HubqError

if TYPE_CHECKING:
    from hubq.client.hub import Hub


class ChildScreen(Screen[None]):
    """Asks for the id of a child (``first`` is proposed), and shows the child until escape."""

    CSS = "#child { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "back"),
        Binding("c", "another", "another child"),
        Binding("q", "app.quit", "quit"),
    ]

    def __init__(self, hub: Hub, first: str, interval: float) -> None:
        super().__init__()
        self._hub = hub
        self._first = first
        self._interval = interval
        self._child_id = ""
        self._looking = False

    def compose(self) -> ComposeResult:
        yield Input(value=self._first, placeholder="the id of a child", id="which")
        with VerticalScroll(id="child"):
            yield Static(id="seen")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.set_interval(self._interval, self._look)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._child_id = event.value.strip()
        self.query_one("#child").focus()
        self._look()

    def action_another(self) -> None:
        self.query_one(Input).focus()

    def _look(self) -> None:
        if self._child_id and not self._looking:
            self._looking = True
            self.run_worker(lambda: self._read(self._child_id), thread=True)

    def _read(self, child_id: str) -> None:
        said: Any
        try:
            said = child_text(look_at(self._hub, child_id))
        except HubqError as error:
            said = str(error)
        with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
            self.app.call_from_thread(self._show, said)

    def _show(self, said: Any) -> None:
        self._looking = False
        if self.query("#seen"):
            self.query_one("#seen", Static).update(said)
