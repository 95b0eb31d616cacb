"""The hub for workers and job processes: ``hubq worker hubq.contrib.django.worker:hub``. Importing it sets Django up."""

from __future__ import annotations

import django

django.setup()

from hubq.contrib.django.configured import the_hub  # noqa: E402

hub = the_hub()
