"""What every reference does: a call or a cast on its way, inside a trace if the hub traces."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.operations import calls
from hubq.client.operations.call_options import CallOptions
from hubq.store.codec import encode_arguments
from hubq.tracing import Tracing


def payload_of(child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Arguments as they travel."""
    return encode_arguments(args, kwargs, f"{child_id}.{method}")


def call(
    driver: Driver, child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
) -> Any:
    """Call a method and wait for its result."""
    payload, context = payload_of(child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.call(context, child_id, method, payload, options))
    with context.tracing.sending("call", child_id, method) as traced:
        return driver.drive(calls.call(context, child_id, method, traced(payload), options))


def cast(driver: Driver, child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Send a message."""
    payload, context = payload_of(child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        driver.drive(calls.send(context, child_id, method, payload, timeout=0, reply=False))
        return
    with context.tracing.sending("cast", child_id, method) as traced:
        driver.drive(calls.send(context, child_id, method, traced(payload), timeout=0, reply=False))


def call_async(
    driver: AsyncDriver, child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
) -> Coroutine[Any, Any, Any]:
    """Call a method and await its result. (Not ``async``: the caller awaits the coroutine of the session itself.)"""
    payload, context = payload_of(child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.call(context, child_id, method, payload, options))
    return _call_traced(driver, context.tracing, child_id, method, payload, options)


def cast_async(
    driver: AsyncDriver, child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, str]:
    """Send a message. The answer: its id."""
    payload, context = payload_of(child_id, method, args, kwargs), driver.context
    if context.tracing is None:
        return driver.drive(calls.send(context, child_id, method, payload, timeout=0, reply=False))
    return _cast_traced(driver, context.tracing, child_id, method, payload)


async def _call_traced(
    driver: AsyncDriver, tracing: Tracing, child_id: str, method: str, payload: bytes, options: CallOptions
) -> Any:
    with tracing.sending("call", child_id, method) as traced:
        return await driver.drive(calls.call(driver.context, child_id, method, traced(payload), options))


async def _cast_traced(driver: AsyncDriver, tracing: Tracing, child_id: str, method: str, payload: bytes) -> str:
    with tracing.sending("cast", child_id, method) as traced:
        return await driver.drive(calls.send(driver.context, child_id, method, traced(payload), timeout=0, reply=False))
