"""``hubq top``: a live view of a hub in the terminal."""

from __future__ import annotations

import contextlib
import queue
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from hubq.cli.loading import HubName, RedisUrl, open_hub
from hubq.cli.reachable import of_those_that_answer
from hubq.cli.top_view import GAP, View, plain
from hubq.client.operations.overview import Glance
from hubq.core.wording import left_out
from hubq.errors import ConfigError, HubqError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Events looked at.
EVENTS = 500
#: From so many columns on, the busiest children stand beside the nodes; so many of them, and so many below the nodes.
WIDE, BESIDE, BELOW = 130, 20, 5
#: A picture older than this is called old, seconds (and with longer intervals, one that should have been replaced).
PATIENCE = 2.0
#: Within this a second d confirms a drain, seconds.
CONFIRM = 3.0


def top_command(
    hub: HubName,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look for a moment, print it as text, and end.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Watch a hub: its nodes, the ring, shards in motion, the busiest children, the last events.

    Keys: s sorts, f filters the nodes, d drains the one under the cursor, c shows a child, space pauses, ? names the keys, q ends.
    In a pipe, or with --once, it prints one picture as text.
    """
    opened = open_hub(hub, redis)
    patience = max(PATIENCE, 1.5 * interval)
    view = View(
        opened.hub_id, opened.groups.address, opened.config.lease, patience=patience, groups=opened.config.groups
    )
    if once or not sys.stdout.isatty():
        with of_those_that_answer(opened):
            view.saw(opened.inspect.glance(EVENTS))
            _until_accounts(opened, view)
            print(plain(view, shutil.get_terminal_size().columns if sys.stdout.isatty() else 200))
        return
    make_app(opened, view, interval).run()


def _until_accounts(hub: Hub, view: View, within: float = 3.0) -> None:
    """Look again until every live node has written a new account, so that there are rates."""
    nodes = view.after.nodes if view.after else ()
    first = {node.name: node.vitals.at for node in nodes if node.vitals and node.lease_left > 0}
    until = time.monotonic() + within
    while first and time.monotonic() < until:
        time.sleep(0.1)
        seen = hub.inspect.glance(EVENTS)
        if all(node.vitals and node.vitals.at > first[node.name] for node in seen.nodes if node.name in first):
            view.saw(seen)
            return


class Watcher:
    """Looks at the hub again and again, in a thread, so that a slow Redis does not hold up the keys.

    What it saw waits until it is asked for: the view belongs to the screen's thread alone. (A node that left between two
    reads of one picture ended the whole screen.)
    """

    def __init__(self, hub: Hub, interval: float) -> None:
        self.paused = threading.Event()
        self._hub = hub
        self._interval = interval
        self._news: queue.SimpleQueue[tuple[float, Glance | HubqError, str]] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hubq-top", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; does not wait for an answer of Redis."""
        self._ended.set()

    def tell(self, view: View) -> None:
        """Bring a view up to date."""
        view.paused = self.paused.is_set()
        while not self._news.empty():
            began, news, trouble = self._news.get()
            if not isinstance(news, HubqError):
                view.saw(news, began)
            view.trouble = trouble

    def _work(self) -> None:
        while not self._ended.is_set():
            if not self.paused.is_set():
                began = time.monotonic()
                try:
                    with self._hub.inspect.reachable() as away:
                        seen = self._hub.inspect.glance(EVENTS)
                    self._news.put((began, seen, left_out(away) if away else ""))
                except HubqError as error:
                    self._news.put((began, error, str(error)))
            self._ended.wait(self._interval)


def make_app(hub: Hub, view: View, interval: float) -> Any:
    """The screen, as a textual App. Raises :class:`~hubq.errors.ConfigError` if textual is not installed."""
    try:
        from textual.app import App, ComposeResult
        from textual.binding import Binding, BindingType
        from textual.containers import Container
        from textual.events import Key
        from textual.widgets import DataTable, Footer, Input, Static
    except ImportError as missing:
        raise ConfigError(f"hubq top needs {missing.name}: pip install 'hubq[top]' (or hubq top --once)") from None

    from hubq.cli.top_child import ChildScreen

    class Top(App[None]):
        """The screen."""

        CSS = """
        Screen { layout: vertical; }
        #title { height: 1; }
        #upper { height: auto; max-height: 70%; }
        #upper.wide { layout: horizontal; }
        #hub, #children { height: auto; }
        .wide #hub { width: 3fr; }
        .wide #children { width: 1fr; padding-left: 2; }
        #nodes { height: auto; max-height: 60%; min-height: 3; }
        #troubles { height: auto; max-height: 4; }
        .head { height: 1; color: $accent; text-style: bold; }
        #ring { height: auto; max-height: 3; }
        #busiest { height: auto; }
        #events { height: 1fr; }
        #filter { display: none; height: 3; }
        """
        BINDINGS: ClassVar[list[BindingType]] = [
            Binding("q", "quit", "quit"),
            Binding("s", "sort", "sort"),
            Binding("f", "filter", "filter"),
            Binding("d", "drain", "drain node"),
            Binding("c", "child", "child"),
            Binding("space", "pause", "pause"),
            Binding("question_mark", "keys", "keys", show=False),
            Binding("escape", "unfilter", "all", show=False),
        ]
        ENABLE_COMMAND_PALETTE = False

        def __init__(self) -> None:
            super().__init__()
            self.watcher = Watcher(hub, interval)
            self.asked = ""  # the node whose drain waits for a second d
            self.asked_at = 0.0
            self.columns: list[str] = []

        def compose(self) -> ComposeResult:
            yield Static(id="title")
            with Container(id="upper"):
                with Container(id="hub"):
                    yield DataTable(id="nodes", cursor_type="row", zebra_stripes=False)
                    yield Static(id="troubles")
                    yield Static("ring", classes="head")
                    yield Static(id="ring")
                with Container(id="children"):
                    yield Static("busiest children", classes="head")
                    yield Static(id="busiest")
            yield Static("last events", classes="head", id="events-head")
            yield Static(id="events")
            yield Input(placeholder="show nodes whose name has ...", id="filter")
            yield Footer()

        def on_mount(self) -> None:
            self.query_one(DataTable).focus()
            self.watcher.start()
            self.set_interval(min(0.25, interval), self.refresh_view)
            self.refresh_view()

        def on_unmount(self) -> None:
            self.watcher.stop()

        def refresh_view(self) -> None:
            if not self.query("#title"):
                return  # a child is shown; or the last turn of the timer, while the screen is being taken down
            self.watcher.tell(view)
            width = max(20, self.size.width - 2)
            wide = self.size.width >= WIDE
            self.query_one("#upper").set_class(wide, "wide")
            self.query_one("#title", Static).update(view.title())
            left = width * 3 // 4 if wide else width
            self._fill(left)
            self.query_one("#troubles", Static).update(view.troubles())
            self.query_one("#ring", Static).update(view.ring(left))
            self.query_one("#busiest", Static).update(view.busiest(BESIDE if wide else BELOW))
            events = self.query_one("#events", Static)
            events.update(view.events(max(1, events.size.height), width))

        def _fill(self, width: int) -> None:
            table = self.query_one(DataTable)
            columns, rows = view.table(width - GAP)  # textual has a blank on both sides of each column
            if columns != self.columns or list(rows) != [row.value for row in table.rows]:
                under = self._under_cursor()
                table.clear(columns=True)
                table.add_columns(*columns)
                self.columns = columns
                for name, row in rows.items():
                    table.add_row(*row, key=name)
                if under in rows:
                    table.move_cursor(row=list(rows).index(under))
                return
            for number, row in enumerate(rows.values()):
                for column, cell in enumerate(row):
                    table.update_cell_at((number, column), cell, update_width=True)  # type: ignore[arg-type]

        def _under_cursor(self) -> str:
            table = self.query_one(DataTable)
            keys = [row.value for row in table.rows]
            return (keys[table.cursor_row] or "") if 0 <= table.cursor_row < len(keys) else ""

        def on_key(self, event: Key) -> None:
            if event.key != "d":
                self.asked = ""

        def action_child(self) -> None:
            self.push_screen(ChildScreen(hub, view.busiest_child(), interval))

        def action_keys(self) -> None:
            self.notify("s sort, f filter, escape all nodes, d d drain, c child, space pause, q quit", timeout=8)

        def action_sort(self) -> None:
            view.next_order()
            self.notify(f"sorted by {view.order}")
            self.refresh_view()

        def action_pause(self) -> None:
            paused = self.watcher.paused
            if paused.is_set():
                paused.clear()
                view.seen_at = view.clock()  # the picture is old because it was to be: not for want of an answer
            else:
                paused.set()
            self.notify("paused" if paused.is_set() else "goes on")
            self.refresh_view()

        def action_filter(self) -> None:
            field = self.query_one("#filter", Input)
            field.display = True
            field.focus()

        def action_unfilter(self) -> None:
            view.filter = self.asked = ""
            self.query_one("#filter", Input).display = False
            self.query_one(DataTable).focus()
            self.refresh_view()

        def on_input_submitted(self, event: Input.Submitted) -> None:
            view.filter = event.value
            self.query_one("#filter", Input).display = False
            self.query_one(DataTable).focus()
            self.refresh_view()

        def action_drain(self) -> None:
            node = self._under_cursor()
            if node and (self.asked != node or view.clock() - self.asked_at > CONFIRM):
                self.asked, self.asked_at = node, view.clock()
                said = f"press d again to drain {node}: it hands everything over and ends"
                self.notify(said, severity="warning", timeout=CONFIRM)
                return
            self.asked = ""
            if node:
                self.run_worker(lambda: self._drain(node), thread=True)

        def _drain(self, node: str) -> None:
            try:
                hub.drain(node)
                said = f"{node} drains"
            except HubqError as error:
                said = str(error)
            with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
                self.call_from_thread(self.notify, said)

    return Top()
