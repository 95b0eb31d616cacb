"""hubq in a Flask app (docs/guide-apps.md). It needs ``pip install flask``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask, Response, current_app, jsonify
from flask.cli import with_appcontext

from hubq.cli.within import where_is, with_hub
from hubq.client.hub import Hub
from hubq.contrib.answers import KNOWN, answer_to
from hubq.core.middleware import Work
from hubq.errors import ConfigError, HubqError


class HubQ:
    """A Flask extension: errors of hubq become answers, handlers and jobs run in an app context, ``flask hubq`` is there.

    ``HubQ(app, hub)``, or ``HubQ(hub=hub)`` and ``init_app(app)`` later. ``app.extensions["hubq"]`` is the hub.
    """

    def __init__(self, app: Flask | None = None, hub: Hub | None = None) -> None:
        if hub is None:
            raise ConfigError("HubQ(...) without a hub: give it one, HubQ(app, Hub('shop')) or HubQ(hub=Hub('shop'))")
        self.hub = hub
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put it into an app. Raises :class:`~hubq.errors.ConfigError` if the app has another hub already."""
        if app.extensions.setdefault("hubq", self.hub) is not self.hub:
            raise ConfigError(f"the app {app.name!r} has hub {app.extensions['hubq'].hub_id!r} already")
        for kind in KNOWN:
            app.register_error_handler(kind, _answered)
        app.cli.add_command(hubq_command)

        @contextmanager
        def in_app_context(work: Work) -> Iterator[None]:
            with app.app_context():
                yield

        self.hub.middleware(in_app_context)


def _answered(error: HubqError) -> Response:
    answer = answer_to(error)
    response = jsonify(answer.body)
    response.status_code = answer.status
    response.headers.update(answer.headers)
    return response


@click.command(
    "hubq", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def hubq_command(arguments: tuple[str, ...]) -> None:
    """Commands of hubq for the hub of this app: worker, ps, doctor, ... (HUB is left out)."""
    from hubq.cli.main import outcome

    hub: Hub = current_app.extensions["hubq"]
    where = current_app.config.get("HUBQ_HUB") or where_is(hub, current_app.import_name)
    raise SystemExit(outcome(with_hub(arguments, where)))
