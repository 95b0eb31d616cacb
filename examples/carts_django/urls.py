"""What there is: the admin, and carts."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples.carts_django.children import Cart
from hubq.contrib.django import hub


def add(request: HttpRequest, name: str, item: str) -> JsonResponse:
    """Put something into a cart; all that is in it."""
    return JsonResponse({"items": hub.ref(Cart, name).call(Cart.add, item)})


urlpatterns = [path("admin/", admin.site.urls), path("carts/<name>/<item>", csrf_exempt(require_POST(add)))]
