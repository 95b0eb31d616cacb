"""``hubq version``."""

from __future__ import annotations

import typer

from hubq import __version__


def version_command() -> None:
    """Print the version of hubq."""
    typer.echo(f"hubq {__version__}")
