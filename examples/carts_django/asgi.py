"""The project under ASGI: the web view of the hub, and Django for all else."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.carts_django.settings")
django_application = get_asgi_application()

from hubq.contrib.django.view import with_view  # noqa: E402  (Django is set up first)

application = with_view(django_application, read_only=False)
