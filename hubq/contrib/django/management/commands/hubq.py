"""``manage.py hubq worker``, ``manage.py hubq ps``, ...: the commands of hubq for the hub of the settings."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hubq.cli.main import outcome
from hubq.cli.within import with_hub
from hubq.contrib.django.configured import where
from hubq.errors import ConfigError


class Command(BaseCommand):  # type: ignore[misc]
    """The command. Its arguments are those of ``hubq``, without HUB."""

    help = "Commands of hubq for the hub of the settings: worker, ps, doctor, ... (HUB is left out)."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """All arguments are hubq's own: none of them is Django's."""
        try:
            arguments = with_hub(argv[2:], where())
        except ConfigError as error:
            self.stderr.write(f"hubq: {error}")
            sys.exit(2)
        sys.exit(outcome(arguments))

    def handle(self, *args: Any, **options: Any) -> None:
        """For ``call_command("hubq", "ps")``. Raises ``CommandError`` if it fails."""
        code = outcome(with_hub([str(arg) for arg in args], where()))
        if code:
            raise CommandError(f"hubq {' '.join(map(str, args))} has failed", returncode=code)

    def add_arguments(self, parser: Any) -> None:
        """The words of the hubq command."""
        parser.add_argument("args", nargs="*")
