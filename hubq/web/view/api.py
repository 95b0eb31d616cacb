"""The JSON API: one table of end points, from which the routes and the OpenAPI document are made."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hubq.client.hub import Hub
from hubq.client.operations.inspection import Mailbox
from hubq.client.operations.waiting_times import Outbox
from hubq.client.results import NodeStatus
from hubq.core.pauses import Pause
from hubq.core.reminders import Reminder
from hubq.errors import ConfigError
from hubq.web.users import User
from hubq.web.view import asked, records
from hubq.web.view.deeds import Deeds
from hubq.web.view.guard import Refused
from hubq.web.view.lookout import Lookout
from hubq.web.view.shown import BadRequest

#: The largest body of an action, bytes.
MOST_BODY = 1 << 20

#: Answers a question: given the lookout (or the deeds of the user) and what was asked.
Answer = Callable[[Any, Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class EndPoint:
    """One question (GET) or action (POST). ``asks``: its query or its body; ``gives``: its answer."""

    method: str
    path: str
    summary: str
    asks: type[msgspec.Struct]
    gives: Any
    answer: Answer

    @property
    def acts(self) -> bool:
        """Whether it changes something."""
        return self.method == "POST"


async def _some_letters(act: Callable[..., Awaitable[object]], body: asked.SomeLetters) -> object:
    said = [bool(body.letters), bool(body.wanted), body.every]
    if said.count(True) != 1:
        raise ConfigError(
            "give the names of letters, or a filter (why, kind, child), or every=true: exactly one of them"
        )
    return await act(body.letters, body.wanted)


def _get(path: str, summary: str, asks: type[msgspec.Struct], gives: object, answer: Answer) -> EndPoint:
    return EndPoint("GET", path, summary, asks, gives, answer)


def _post(
    path: str, summary: str, asks: type[msgspec.Struct], answer: Answer, gives: object = records.Done
) -> EndPoint:
    return EndPoint("POST", path, summary, asks, gives, answer)


END_POINTS: tuple[EndPoint, ...] = (
    _get("/hub", "The hub at one glance: workers, who serves which shard, the last moves.", asked.Nothing,
         records.HubView, lambda look, ask: look.hub()),
    _get("/nodes", "The workers.", asked.Nothing, list[NodeStatus], lambda look, ask: look.members()),
    _get("/pauses", "What is paused.", asked.Nothing, list[Pause], lambda look, ask: look.pauses()),
    _get("/children", "A page of children. A search may end a page early: `next` leads on.", asked.Children,
         records.ChildrenView, lambda look, ask: look.children(ask.query, ask.after, ask.limit)),
    _get("/child", "A child, with its state, its mailbox and its reminders.", asked.OneChild, records.ChildView,
         lambda look, ask: look.child(ask.id)),
    _get("/child/state", "The saved state of a child; null: it has saved none.", asked.OneChild,
         records.StateView | None, lambda look, ask: look.state(ask.id)),
    _get("/child/mailbox", "The messages that wait for a child.", asked.OneMailbox, Mailbox,
         lambda look, ask: look.mailbox(ask.id, ask.count)),
    _get("/child/outbox", "What a child has said and what waits, since a mailbox is full.", asked.OneMailbox, Outbox,
         lambda look, ask: look.outbox(ask.id, ask.count)),
    _get("/child/reminders", "What is due later.", asked.OneChild, list[Reminder],
         lambda look, ask: look.reminders(ask.id)),
    _get("/child/history", "The last events of a child and its shard, the newest first.", asked.OneChild,
         records.EventsView, lambda look, ask: look.history(ask.id)),
    _get("/dead", "A page of dead letters, the newest first.", asked.Letters, records.LettersView,
         lambda look, ask: look.letters(ask.wanted, ask.after, ask.limit)),
    _get("/jobs", "RQ's jobs, keys with waiting jobs, and a page of resumable jobs.", asked.Jobs, records.JobsView,
         lambda look, ask: look.jobs.all(ask.state, ask.after)),
    _get("/events", "A page of events, the newest first.", asked.Events, records.EventsView,
         lambda look, ask: look.events(ask.wanted, ask.before, ask.limit)),
    _get("/metrics", "The last hour of the workers that are there.", asked.Nothing, records.MetricsView,
         lambda look, ask: look.metrics()),
    _get("/doctor", "What is wrong with the hub, and what to do.", asked.Doctor, records.DoctorView,
         lambda look, ask: look.doctor(fresh=ask.fresh)),
    _post("/child/call", "Call a method of a child, and wait for its result.", asked.Call,
          lambda deeds, ask: deeds.call(ask.id, ask.method, ask.args, ask.kwargs, ask.timeout)),
    _post("/child/cast", "Send a message to a child.", asked.Cast,
          lambda deeds, ask: deeds.cast(ask.id, ask.method, ask.args, ask.kwargs)),
    _post("/child/move", "Move a child to a worker, live, and wait until it is there.", asked.Move,
          lambda deeds, ask: deeds.move(ask.id, ask.node, ask.timeout)),
    _post("/child/stop", "End a child for good.", asked.Stop,
          lambda deeds, ask: deeds.stop(ask.id, ask.timeout, now=ask.now)),
    _post("/child/kill", "End the message in hand, and begin the child anew.", asked.Kill,
          lambda deeds, ask: deeds.kill(ask.id, ask.timeout)),
    _post("/child/drop", "Take a waiting message out of the mailbox.", asked.DropMessage,
          lambda deeds, ask: deeds.drop_message(ask.id, ask.entry, ask.timeout)),
    _post("/pause", "Have children begin no further message: all, those of a class, or one.", asked.Paused,
          lambda deeds, ask: deeds.pause(ask.what, ask.name, ask.why, ask.timeout)),
    _post("/resume", "End a pause.", asked.Resumed, lambda deeds, ask: deeds.resume(ask.what, ask.name)),
    _post("/nodes/drain", "Tell a worker to hand everything over and leave.", asked.Drain,
          lambda deeds, ask: deeds.drain(ask.node)),
    _post("/dead/replay", "Send dead letters again.", asked.SomeLetters,
          lambda deeds, ask: _some_letters(deeds.replay, ask), records.Several),
    _post("/dead/drop", "Throw dead letters away.", asked.SomeLetters,
          lambda deeds, ask: _some_letters(deeds.drop, ask), records.Several),
    _post("/jobs/retry", "Queue a failed job of RQ again.", asked.OneJob,
          lambda deeds, ask: deeds.retry_job(ask.id)),
    _post("/jobs/cancel", "Cancel a job.", asked.OneJob, lambda deeds, ask: deeds.cancel_job(ask.id)),
)  # fmt: skip


def query_of(request: Request, kind: type[msgspec.Struct]) -> Any:
    """The query of a request as a record. Raises :class:`BadRequest`."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise BadRequest(f"{name[:100]!r} is given twice")
        given[name] = value
    # An empty field of a form says nothing.
    given = {name: value for name, value in given.items() if value or name not in kind.__struct_fields__}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from None


async def body_of(request: Request, kind: type[msgspec.Struct]) -> Any:
    """The body of an action as a record. Raises :class:`BadRequest` and :class:`Refused`."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise Refused(413, f"the body has more than {MOST_BODY} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(str(error)) from None


async def answered(point: EndPoint, request: Request, hub: Hub, look: Lookout, user: User) -> Response:
    """The answer of an end point as JSON. (Who may act was looked at before.)"""
    if point.acts:
        ask = await body_of(request, point.asks)
        found = await point.answer(Deeds(hub, user), ask)
    else:
        found = await point.answer(look, query_of(request, point.asks))
    return as_json(found)


def as_json(value: object, status: int = 200) -> Response:
    """An answer. What JSON cannot say (in the metadata of a child) is shown as Python would write it."""
    try:
        body = msgspec.json.encode(value, enc_hook=repr)
    except UnicodeEncodeError:  # what stands in Redis may be no whole text
        body = json.dumps(msgspec.to_builtins(value, enc_hook=repr, str_keys=True)).encode()
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")
