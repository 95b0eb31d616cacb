"""Errors of hubq as answers."""

from __future__ import annotations

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from hubq.contrib.answers import KNOWN, answer_to
from hubq.errors import HubqError


class ErrorMiddleware:
    """Makes answers of the errors of hubq that views raise: ``"hubq.contrib.django.ErrorMiddleware"`` in ``MIDDLEWARE``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The view's answer (in an async app: what is to be awaited for it)."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """The answer to an error; None: it is Django's."""
        if not isinstance(error, HubqError) or not isinstance(error, tuple(KNOWN)):
            return None
        answer = answer_to(error)
        return JsonResponse(answer.body, status=answer.status, headers=answer.headers)
