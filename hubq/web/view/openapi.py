"""The OpenAPI document of the JSON API, made from its table of end points."""

from __future__ import annotations

from typing import Any

import msgspec

from hubq import __version__
from hubq.web.view.api import END_POINTS, EndPoint
from hubq.web.view.guard import CSRF_HEADER
from hubq.web.view.records import Problem
from hubq.web.view.shown import REFUSALS

#: Refusals that only an action can meet.
OF_ACTIONS = {403, 413, 415, 422, 429}


def document(base: str, *, read_only: bool) -> dict[str, Any]:
    """The document, for a view at this path. ``read_only``: it says so, and has no actions."""
    points = [point for point in END_POINTS if not (read_only and point.acts)]
    types = [each for point in points for each in (point.asks, point.gives)]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    of_type = {id(kind): schema for kind, schema in zip([*types, Problem], schemas, strict=True)}
    paths: dict[str, Any] = {}
    for point in points:
        paths.setdefault(f"/api{point.path}", {})[point.method.lower()] = _operation(point, of_type, components)
    for path, summary, stream in STREAMS:
        paths[f"/api{path}"] = {"get": _stream(summary, stream)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hubq web view",
            "version": __version__,
            "description": (
                "A hub over HTTP. Whoever may see the pages may ask; operators may act. A browser sends the token of its "
                f"cookie in {CSRF_HEADER} with each action." + (" This view is read-only." if read_only else "")
            ),
        },
        "servers": [{"url": base or "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


#: What is streamed: path, summary, parameters.
STREAMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("/events/stream", "Events as they come, as server-sent events. Goes on behind Last-Event-ID.", ("after",)),
    ("/child/feed", "What a child publishes, as server-sent events. Goes on behind Last-Event-ID.", ("id", "after")),
)


def _operation(point: EndPoint, of_type: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {"description": "Done." if point.acts else "The answer.", "content": _json(of_type[id(point.gives)])}
    }
    for status, why in REFUSALS.items():
        if point.acts or status not in OF_ACTIONS:
            answers[str(status)] = {"description": why, "content": _json(of_type[id(Problem)])}
    operation: dict[str, Any] = {
        "summary": point.summary,
        "operationId": point.path.strip("/").replace("/", "_") + ("_do" if point.acts else ""),
        "responses": answers,
    }
    if point.acts:
        operation["requestBody"] = {"required": True, "content": _json(of_type[id(point.asks)])}
    else:
        schema = components[point.asks.__name__]
        required = set(schema.get("required", ()))
        operation["parameters"] = [
            {"name": name, "in": "query", "required": name in required, "schema": of,
             "description": of.get("description", "")}
            for name, of in schema["properties"].items()
        ]  # fmt: skip
    return operation


def _stream(summary: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "query", "required": name == "id", "schema": {"type": "string"}} for name in names
        ],
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **{
                str(status): {
                    "description": REFUSALS[status],
                    "content": _json({"$ref": "#/components/schemas/Problem"}),
                }
                for status in (400, 401, 503)
            },
        },
    }


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
