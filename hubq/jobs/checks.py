"""Checks what is enqueued: one clear error for each thing that cannot be, and RQ's own refusals in hubq's words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rq import Repeat, Retry
from rq.exceptions import DuplicateJobError, TimeoutFormatError

from hubq import errors
from hubq.core.hashing import checked_child_id
from hubq.core.job_names import id_prefix
from hubq.errors import InvalidChildId, InvalidJob, InvalidKey, NotImportable, RedisRefused
from hubq.store.connection import LOST, NOT_ALLOWED, REFUSED, Server, refused, unavailable

#: The longest key of a job, in bytes of UTF-8: what is left of a child id after ``job:``, rounded down.
MAX_KEY_BYTES = 500


class DuplicateJob(errors.DuplicateJob, DuplicateJobError):
    """hubq's error, which is also the error that users of RQ catch."""


def checked_function(function: Any) -> Any:
    """A function that a worker can import (or its dotted path), or :class:`~hubq.errors.NotImportable`.

    >>> checked_function("app.send_mail")
    'app.send_mail'
    >>> checked_function(lambda: 1)
    Traceback (most recent call last):
    hubq.errors.NotImportable: <lambda> of module 'hubq.jobs.checks' cannot be imported by a worker: define it with \
`def` at the top of a module
    """
    if isinstance(function, str):
        return _checked_path(function)
    if not callable(function):
        raise NotImportable(f"{function!r} cannot be a job: give a function, or its dotted path")
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", repr(function))
    if module == "__main__":
        raise NotImportable(
            f"{name!r} is a function of the script itself (__main__), which workers cannot import: move it into a module"
        )
    if not isinstance(module, str):
        raise NotImportable(f"{name!r} belongs to no module: define it with `def` at the top of a module")
    if "<" in name:  # <lambda>, <locals>
        what = "<lambda>" if name.endswith("<lambda>") else f"the local function {name.rpartition('.')[2]!r}"
        raise NotImportable(
            f"{what} of module {module!r} cannot be imported by a worker: define it with `def` at the top of a module"
        )
    return function


def _checked_path(path: str) -> str:
    """A dotted path that can lead to a function. (Its module may be one that only the workers have: it is not imported.)

    >>> _checked_path("hubq.jobs.checks.checked_kye")
    Traceback (most recent call last):
    hubq.errors.NotImportable: 'hubq.jobs.checks.checked_kye' does not exist: hubq.jobs.checks has no 'checked_kye'
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(map(str.isidentifier, parts)):
        raise NotImportable(f"{path!r} does not name a function: give its dotted path, as in 'app.send_mail'")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        if (found := sys.modules.get(module)) is not None:
            # (A module of a package need not be imported yet.)
            may_be_module = count < len(parts) - 1 and hasattr(found, "__path__")
            if not may_be_module and not hasattr(found, parts[count]):
                raise NotImportable(f"{path!r} does not exist: {module} has no {parts[count]!r}")
            break
    return path


def checked_key(key: object) -> str:
    """The key of a job, or :class:`~hubq.errors.InvalidKey`.

    >>> checked_key("account-7")
    'account-7'
    >>> checked_key("")
    Traceback (most recent call last):
    hubq.errors.InvalidKey: the key of a job is empty: give a text of 1 to 500 bytes
    """
    if not isinstance(key, str):
        raise InvalidKey(f"key={key!r} is a {type(key).__name__}: give a text of 1 to {MAX_KEY_BYTES} bytes")
    if not key:
        raise InvalidKey(f"the key of a job is empty: give a text of 1 to {MAX_KEY_BYTES} bytes")
    size = len(key.encode("utf-8", "replace"))
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"key {key[:24]!r}... has {size} bytes, the most is {MAX_KEY_BYTES}: use a shorter one")
    try:
        checked_child_id(key)
    except InvalidChildId as error:
        raise InvalidKey(str(error).replace("child id", "key").replace("use another name", "use another one")) from None
    return key


def checked_options(kwargs: Mapping[str, Any]) -> None:
    """RQ does not check ``retry`` and ``repeat``, and fails later with an error that names neither.

    >>> checked_options({"retry": 3})
    Traceback (most recent call last):
    hubq.errors.InvalidJob: retry=3 is a int: give rq.Retry(...)
    """
    for name, kind in (("retry", Retry), ("repeat", Repeat)):
        value = kwargs.get(name)
        if value is not None and not isinstance(value, kind):
            raise InvalidJob(f"{name}={value!r} is a {type(value).__name__}: give rq.{kind.__name__}(...)")


def own_options(function: Any) -> dict[str, Any]:
    """The options that ``@hub.job(...)`` has left at a function."""
    return dict(getattr(function, "hubq_job_options", {}))


def checked_time(when: object) -> datetime:
    """A time, or :class:`~hubq.errors.InvalidJob`.

    >>> checked_time("soon")
    Traceback (most recent call last):
    hubq.errors.InvalidJob: 'soon' is no time: give a datetime
    """
    if not isinstance(when, datetime):
        raise InvalidJob(f"{when!r} is no time: give a datetime")
    return when


@contextmanager
def translated(server: Server, hub_id: str = "") -> Iterator[None]:
    """RQ's refusals and lost connections as hubq's errors. ``hub_id``: the error says which ids its jobs have, if that can be why."""
    try:
        yield
    except DuplicateJobError as error:
        raise DuplicateJob(f"{error}: it runs, waits, or its result is still kept") from error
    except LOST as error:
        raise unavailable(server, error) from error
    except REFUSED as error:
        found = refused(server, error)
        if hub_id and isinstance(error, NOT_ALLOWED):
            found = RedisRefused(f"{found}; with a user of `hubq acl --jobs` job ids begin with {id_prefix(hub_id)!r}")
        raise found from error
    except (ValueError, TypeError, AssertionError, TimeoutFormatError) as error:
        if isinstance(error, errors.HubqError):
            raise
        raise InvalidJob(
            f"RQ refuses the job ({error}): see the options of hub.enqueue in docs/guide-jobs.md"
        ) from error


def name_for(function: Callable[..., Any] | str) -> str:
    """A function's name for people."""
    return function if isinstance(function, str) else str(getattr(function, "__qualname__", function))
