"""The pages. Each is written by the server; a part of it can be asked for alone (``?part=``), which keeps it alive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hubq.client.operations.event_lines import for_people, spans
from hubq.core.event_types import EVENT_TYPES
from hubq.jobs.overview import ALL_STATES
from hubq.web.users import User
from hubq.web.view import asked
from hubq.web.view.api import query_of
from hubq.web.view.guard import Guard, csrf_token, give_token
from hubq.web.view.lookout import Lookout
from hubq.web.view.metrics import charts
from hubq.web.view.records import ResumableView
from hubq.web.view.ring import colours, ring
from hubq.web.view.shown import BadRequest
from hubq.web.view.words import FILTERS

T = TypeVar("T")

#: The scripts and styles, by name: their bytes and their type.
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
STATIC: dict[str, tuple[bytes, str]] = {
    each.name: (each.read_bytes(), TYPES[each.name.rpartition(".")[2]])
    for each in files("hubq.web.view").joinpath("static").iterdir()
    if each.name.rpartition(".")[2] in TYPES
}
#: Changes with each of them: browsers keep them for good under an address that has it.
VERSION = hashlib.sha256(b"".join(STATIC[name][0] for name in sorted(STATIC))).hexdigest()[:12]

#: How long the oldest message of a child may be asked to have waited, seconds.
AGES = (10.0, 60.0, 600.0, 3_600.0, 86_400.0)

#: What the doctor finds -> the page on which an operator sees what it is about.
FOUND_AT = {
    "dead letters": "/dead",
    "messages wait long": "/children?oldest=10.0",
    "mailbox filling": "/children?oldest=10.0",
    "handlers raise": "/dead?why=raised",
    "jobs wait": "/jobs",
    "no job worker": "/jobs",
    "paused for long": "/",
    "worker not ready": "/children?status=parked",
}

#: For how long a page looks for what it lists, seconds: before it is shown first; when it is asked to look further, and in each step by
#: which an open page does so.
AT_FIRST, A_STEP = 0.02, 0.2

#: What a page shows, from what was asked, and the part that is wanted (empty: all of it).
Gather = Callable[[Lookout, Any, str], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page: where it is, its name in the navigation (empty: it is not there), its template, and how its content is gathered."""

    path: str
    title: str
    template: str
    asks: Any
    gather: Gather
    listed: bool = True


async def _hub(look: Lookout, ask: asked.Nothing, part: str) -> Mapping[str, object]:
    view = await look.hub()
    names = [node.name for node in view.nodes]
    return {
        "view": view,
        "ring": ring(view.owners, names, view.moving),
        "tint": colours(names),
        "pauses": await look.pauses(),
    }


async def _children(look: Lookout, ask: asked.Children, part: str) -> Mapping[str, object]:
    view = await look.children(ask.query, ask.after, ask.limit, _patience(ask.after, part))
    names = [node.name for node in await look.members()]
    ages = sorted({*AGES, *([ask.oldest] if ask.oldest else [])})
    return {"view": view, "nodes": names, "tint": colours(names), "ages": ages, "more": more(ask, after=view.next)}


async def _child(look: Lookout, ask: asked.OneChild, part: str) -> Mapping[str, object]:
    if part == "history":
        return {"history": await look.history(ask.id)}
    view, nodes = await look.child(ask.id), await look.members()
    return {
        "view": view,
        "child": view.child,
        "history": None if part else await look.history(ask.id),
        "tint": colours([node.name for node in nodes]),
        "nodes": [node.name for node in nodes if node.status == "up"],
    }


async def _dead(look: Lookout, ask: asked.Letters, part: str) -> Mapping[str, object]:
    view = await look.letters(ask.wanted, ask.after, ask.limit)
    return {"view": view, "more": more(ask, after=view.next)}


async def _events(look: Lookout, ask: asked.Events, part: str) -> Mapping[str, object]:
    view = await look.events(ask.wanted, ask.before, ask.limit)
    lines = view.events if ask.type else for_people(view.events[::-1])[::-1]
    said = {"types": sorted(EVENT_TYPES), "said": EVENT_TYPES}
    return {"view": view, "lines": lines, **said, "more": more(ask, before=view.next)}


async def _jobs(look: Lookout, ask: asked.Jobs, part: str) -> Mapping[str, object]:
    async def running() -> ResumableView:
        return await look.jobs.resumable(ask.state, ask.after, _patience(ask.after, part))

    view, nodes, found = await asyncio.gather(
        _unless(part == "resumable", look.jobs.queues(ask.state)), look.members(), _unless(part == "jobs", running())
    )
    tint = colours([node.name for node in nodes])
    following = more(ask, after=found.next) if found is not None else ""
    return {"view": view, "running": found, "states": ALL_STATES, "tint": tint, "more": following}


async def _metrics(look: Lookout, ask: asked.Nothing, part: str) -> Mapping[str, object]:
    view = await look.metrics()
    return {"view": view, "charts": charts(view), "tint": colours([each.node for each in view.series])}


async def _doctor(look: Lookout, ask: asked.Doctor, part: str) -> Mapping[str, object]:
    return {"view": await look.doctor(fresh=ask.fresh), "where": FOUND_AT}


PAGES: tuple[Page, ...] = (
    Page("/", "Hub", "hub.html", asked.Nothing, _hub),
    Page("/children", "Children", "children.html", asked.Children, _children),
    Page("/child", "Child", "child.html", asked.OneChild, _child, listed=False),
    Page("/jobs", "Jobs", "jobs.html", asked.Jobs, _jobs),
    Page("/dead", "Dead letters", "dead.html", asked.Letters, _dead),
    Page("/events", "Events", "events.html", asked.Events, _events),
    Page("/metrics", "Metrics", "metrics.html", asked.Nothing, _metrics),
    Page("/doctor", "Doctor", "doctor.html", asked.Doctor, _doctor),
)


def _patience(after: str, part: str) -> float:
    return A_STEP if after or part else AT_FIRST


async def _unless(unwanted: bool, found: Coroutine[Any, Any, T]) -> T | None:
    if unwanted:
        found.close()
        return None
    return await found


def more(ask: Any, **place: str) -> str:
    """The query of the next page of a listing; empty: there is none."""
    if not all(place.values()):
        return ""
    given = {name: getattr(ask, name) for name in ask.__struct_fields__}
    default = type(ask)()
    said = {name: value for name, value in given.items() if value != getattr(default, name)}
    return "?" + urlencode({**said, **place})


class Printer:
    """Writes pages for one hub."""

    def __init__(self, hub_id: str, guard: Guard) -> None:
        self._hub_id = hub_id
        self._guard = guard
        self._templates = Environment(
            loader=PackageLoader("hubq.web.view"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters.update(FILTERS, spans=spans)

    async def page(self, page: Page, request: Request, look: Lookout, user: User) -> Response:
        """A page, or the part of it that was asked for."""
        part = request.query_params.get("part", "")
        template = self._templates.get_template(page.template)
        if part and f"part_{part}" not in template.blocks:
            raise BadRequest(f"this page has no part {part[:50]!r}")
        ask = query_of(_without_part(request), page.asks)
        values = {**await page.gather(look, ask, part), "ask": ask, "page": page}
        return self._written(request, page.template, values, user, part)

    def trouble(self, request: Request, status: int, said: str, user: User | None) -> Response:
        """A page that says why there is none."""
        page = Page("", "Not shown", "trouble.html", asked.Nothing, _hub, listed=False)
        values = {"status": status, "said": said, "page": page, "ask": asked.Nothing()}
        return self._written(request, "trouble.html", values, user, "", status)

    def _written(
        self, request: Request, name: str, values: Mapping[str, object], user: User | None, part: str, status: int = 200
    ) -> Response:
        token, fresh = csrf_token(request)
        template = self._templates.get_template(name)
        base = request.scope.get("root_path", "")
        context: dict[str, object] = {
            "base": base,
            "bits": self._templates.get_template("bits.html").make_module({"base": base}),
            "version": VERSION,
            "hub_id": self._hub_id,
            "user": user,
            "may_act": user is not None and self._guard.may_act(user),
            "read_only": self._guard.read_only,
            "pages": PAGES,
            "token": token,
            **values,
        }
        html = (
            "".join(template.blocks[f"part_{part}"](template.new_context(context)))
            if part
            else template.render(context)
        )
        response = HTMLResponse(html.encode("utf-8", "replace"), status, {"Cache-Control": "no-store"})
        if fresh and not part:
            give_token(request, response, token)
        return response


def _without_part(request: Request) -> Request:
    scope = dict(request.scope)
    scope["query_string"] = urlencode(
        [(name, value) for name, value in request.query_params.multi_items() if name != "part"]
    ).encode()
    return Request(scope)
