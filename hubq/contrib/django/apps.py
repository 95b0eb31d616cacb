"""The Django app: it imports ``children`` and ``jobs`` of every app, and looks after database connections."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.utils.module_loading import autodiscover_modules

from hubq.contrib.django.checks import check_settings
from hubq.contrib.django.connections import Connections
from hubq.errors import ConfigError


class HubqConfig(AppConfig):  # type: ignore[misc]
    """``hubq.contrib.django``."""

    name = "hubq.contrib.django"
    label = "hubq"
    verbose_name = "hubq"

    def ready(self) -> None:
        """Called by Django when all models are there."""
        from hubq.contrib.django.configured import the_hub

        register(check_settings)
        try:
            hub = the_hub()
        except ConfigError:
            return  # `manage.py check` says it, and so does whoever asks for the hub
        hub.middleware(Connections())
        autodiscover_modules("children", "jobs")
