"""``hubq web``: a hub in a browser on this machine."""

from __future__ import annotations

import contextlib
import getpass
import socket
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import HubName, RedisUrl, open_hub
from hubq.cli.output import say
from hubq.errors import ConfigError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: How long a browser that is still connected may hold up the end, seconds.
END_WITHIN = 1


def web_command(
    hub: HubName,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port on this machine; 0: any that is free.")] = 8765,
    operate: Annotated[bool, typer.Option("--operate", help="Let the page act: call, move, stop, replay ...")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open it in your browser.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Look at a hub in a browser, on this machine. Prints an address that lets one browser in, once. Ctrl-C ends it.

    It shows everything and changes nothing, unless --operate is given. In an app of your own, mount hubq.web.dashboard.
    """
    opened = open_hub(hub, redis)
    with _listening(port) as listening:
        _serve(opened, listening, operate=operate, browser=browser)


def _serve(hub: Hub, listening: socket.socket, *, operate: bool, browser: bool) -> None:
    try:
        import uvicorn

        from hubq.web.view.door import Door
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("hubq"):
            raise
        raise ConfigError(f"hubq web needs {missing.name}: pip install 'hubq[web]'") from None
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    door = Door(
        hub, _user_name(), "operator" if operate else "viewer", origin,
        lambda address: say(f"a browser was let in. For another one: {address}"),
    )  # fmt: skip
    what = "looks and acts" if operate else "looks, and changes nothing (--operate lets it act)"
    say(f"hub {hub.hub_id} at {hub.groups.address}: who opens this address {what}")
    say(door.address)
    if browser:
        webbrowser.open(door.address)
    config = uvicorn.Config(
        door, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=END_WITHIN
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listening])


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "somebody"


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ConfigError(
            f"port {port} of this machine cannot be used ({error.strerror}): give another one, --port"
        ) from None
