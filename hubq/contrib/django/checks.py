"""``manage.py check``: what is wrong in ``settings.HUBQ``."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from hubq.errors import ConfigError


def check_settings(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """The findings of one run."""
    from hubq.contrib.django.configured import the_hub

    try:
        the_hub()
    except ConfigError as error:
        return [Error(str(error), id="hubq.E001")]
    found: list[CheckMessage] = []
    wanted = settings.HUBQ
    if not settings.DEBUG and "HUB_ID" in wanted and not wanted.get("REDIS"):
        hint = "give HUBQ['REDIS'], or set HUBQ_REDIS_URL"
        import os

        if not os.environ.get("HUBQ_REDIS_URL"):
            found.append(
                Warning("settings.HUBQ names no Redis: redis://localhost:6379/0 is used", hint=hint, id="hubq.W001")
            )
    return found
