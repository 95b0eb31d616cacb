"""Where the web view is, for the link in the admin."""

from __future__ import annotations

from django import template

from hubq.contrib.django.configured import view_path
from hubq.errors import ConfigError

register = template.Library()


@register.simple_tag  # type: ignore[untyped-decorator]
def hubq_view() -> str:
    """The address of the web view; empty: the project has none."""
    try:
        path = view_path()
    except ConfigError:
        return ""  # `manage.py check` says it
    return path and path + "/"
