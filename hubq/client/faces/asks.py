"""What every reference does: a call or a cast on its way, inside a trace if the hub traces."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hubq.client.asking.calling import time_left
from hubq.client.asking.driver import AsyncChildDriver, ChildDriver
from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
from hubq.client.operations import calls
from hubq.client.operations.call_options import CallOptions
from hubq.core.methods import Method, name_of_method
from hubq.tracing import Tracing

#: A method by its name, and itself if the caller has it.
Named = tuple[str, Callable[..., Any] | None]


def payload_of(
    driver: ChildDriver | AsyncChildDriver, child_id: str, method: Named, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bytes:
    """Arguments as they travel."""
    return driver.context.values.encode_arguments(args, kwargs, f"{child_id}.{method[0]}", method[1])


def named(method: Method) -> Named:
    """A method as it is given to a reference by name alone."""
    return (method, None) if isinstance(method, str) else (name_of_method(method), method)


def in_time(child_id: str, method: str, options: CallOptions) -> CallOptions:
    """The options of a call; in a handler, with no more time than is left of the message in hand."""
    return options.within(time_left(options.timeout, f"{child_id}.{method}"))


def call(
    driver: ChildDriver,
    child_id: str,
    method: Named,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: CallOptions,
) -> Any:
    """Call a method and wait for its result."""
    name, known = method
    options = in_time(child_id, name, options)
    payload, context = payload_of(driver, child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.call(context, child_id, name, payload, options, known))
    with context.tracing.sending("call", child_id, name) as traced:
        return driver.drive(calls.call(context, child_id, name, traced(payload), options, known))


def cast(
    driver: ChildDriver,
    child_id: str,
    method: Named,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: CallOptions,
) -> None:
    """Send a message."""
    name, _ = method
    payload, context = payload_of(driver, child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        driver.drive(calls.cast(context, child_id, name, payload, options))
        return
    with context.tracing.sending("cast", child_id, name) as traced:
        driver.drive(calls.cast(context, child_id, name, traced(payload), options))


def call_async(
    driver: AsyncChildDriver, child_id: str, method: Named, args: tuple[Any, ...], kwargs: dict[str, Any],
    options: CallOptions,
) -> Coroutine[Any, Any, Any]:  # fmt: skip
    """Call a method and await its result. (Not ``async``: the caller awaits the coroutine of the session itself.)"""
    name, known = method
    options = in_time(child_id, name, options)
    payload, context = payload_of(driver, child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.call(context, child_id, name, payload, options, known))
    return _call_traced(driver, context.tracing, child_id, method, payload, options)


def cast_async(
    driver: AsyncChildDriver,
    child_id: str,
    method: Named,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: CallOptions,
) -> Coroutine[Any, Any, str]:
    """Send a message. The answer: its id."""
    name, _ = method
    payload, context = payload_of(driver, child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.cast(context, child_id, name, payload, options))
    return _cast_traced(driver, context.tracing, child_id, name, payload, options)


async def _call_traced(
    driver: AsyncChildDriver, tracing: Tracing, child_id: str, method: Named, payload: bytes, options: CallOptions
) -> Any:
    name, known = method
    with tracing.sending("call", child_id, name) as traced:
        return await driver.drive(calls.call(driver.context, child_id, name, traced(payload), options, known))


async def _cast_traced(
    driver: AsyncChildDriver, tracing: Tracing, child_id: str, method: str, payload: bytes, options: CallOptions
) -> str:
    with tracing.sending("cast", child_id, method) as traced:
        return await driver.drive(calls.cast(driver.context, child_id, method, traced(payload), options))


def begin(
    driver: ChildDriver,
    child_id: str,
    method: Named,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: CallOptions,
) -> CallFuture[Any]:
    """Send a call whose result is asked for later."""
    name, known = method
    options = in_time(child_id, name, options)
    payload, context, asker = payload_of(driver, child_id, method, args, kwargs), driver.context, driver.asker()
    if context.tracing is None:
        begun = asker.drive(calls.begin(context, child_id, name, payload, options, known))
    else:
        with context.tracing.sending("call", child_id, name) as traced:
            begun = asker.drive(calls.begin(context, child_id, name, traced(payload), options, known))
    return CallFuture(driver, asker, begun)


def begin_async(
    driver: AsyncChildDriver, child_id: str, method: Named, args: tuple[Any, ...], kwargs: dict[str, Any],
    options: CallOptions,
) -> AsyncCallFuture[Any]:  # fmt: skip
    """Send a call whose result is awaited later."""
    name, known = method
    options = in_time(child_id, name, options)
    payload, context = payload_of(driver, child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return AsyncCallFuture(driver, calls.begin(context, child_id, name, payload, options, known), options.timeout)
    with context.tracing.sending("call", child_id, name) as traced:
        begin = calls.begin(context, child_id, name, traced(payload), options, known)
        return AsyncCallFuture(driver, begin, options.timeout)
