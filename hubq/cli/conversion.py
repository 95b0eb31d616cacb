"""Plain values of the command line, without pydantic.

Recent versions of typer convert each value by pydantic, whose import takes a fifth of the time of a short command. A text, a whole
number, a word of an enumeration, a default and an option that is not given are taken here. All other values go to typer, with all
that is wrong. A version of typer that has no ``get_runtime_param`` never asks here.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

#: No value: typer must say.
_UNCLEAR = object()


class _Coercion:
    """Stands for typer's own, which it makes only for a value that needs it. ``param`` is one of those below."""

    def __init__(self, param: Any) -> None:
        self._param = param

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value for the function of the command."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            wanted = self._param.type_descriptor
            info = wanted.parameter_info
            plain = plainly(value, wanted.annotation, info.min, info.max) if info.parser is None else _UNCLEAR
        except AttributeError:  # another version of typer, that has changed inside
            plain = _UNCLEAR
        return self._param.typers_own().coerce(value, param=param, ctx=ctx) if plain is _UNCLEAR else plain


def plainly(value: Any, wanted: Any, least: float | None = None, most: float | None = None) -> Any:
    """The value as what is wanted.

    >>> plainly("7", int, 0), plainly("seven", int) is _UNCLEAR, plainly(("a", "b"), list[str])
    (7, True, ['a', 'b'])
    """
    if isinstance(value, (list, tuple)):
        fits = wanted == list[str] and all(plainly(each, str) is each for each in value)
        return list(value) if fits else _UNCLEAR
    if wanted is str:  # what is no UTF-8 is for typer to refuse
        return value if isinstance(value, str) and value.isprintable() else _UNCLEAR
    if not isinstance(wanted, type):
        return _UNCLEAR
    if type(value) is wanted:
        return value
    if wanted is int and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        number = int(value)
        return number if (least is None or least <= number) and (most is None or number <= most) else _UNCLEAR
    if issubclass(wanted, Enum):
        return next((member for member in wanted if member.value == value), _UNCLEAR)
    return _UNCLEAR


class _TakesAsIs:
    """Before typer's classes of parameters."""

    def get_runtime_param(self) -> Any:
        return _Coercion(self)

    def typers_own(self) -> Any:
        """What converts a value by pydantic."""
        return super().get_runtime_param()  # type: ignore[misc]


class _Option(_TakesAsIs, TyperOption):
    pass


class _Argument(_TakesAsIs, TyperArgument):
    pass


class _ConvertsLess:
    """Before typer's classes of commands."""

    params: list[Any]

    def get_params(self, ctx: Any) -> Any:
        self.params = [_as_is(param) for param in self.params]
        return super().get_params(ctx)  # type: ignore[misc]

    def get_help_option(self, ctx: Any) -> Any:
        return _as_is(super().get_help_option(ctx))  # type: ignore[misc]


class Command(_ConvertsLess, TyperCommand):
    """A command of ours."""


class Group(_ConvertsLess, TyperGroup):
    """A command of ours that has commands of its own."""


def _as_is(param: Any) -> Any:
    """Another object: typer makes its parameters itself, and no class of ours can be given to it."""
    made: Any
    if type(param) is TyperOption:
        made = _Option.__new__(_Option)
    elif type(param) is TyperArgument:
        made = _Argument.__new__(_Argument)
    else:
        return param
    vars(made).update(vars(param))
    return made
