"""Giving a function other globals, and telling whether it is still made of what it was made of.

A function that finds other things under some global names needs globals of its own, a copy of those
of its file. It does not see what is put into the file's later; so what is made of it is kept only
as long as a copy would be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from operator import is_
from types import CellType, CodeType, FunctionType
from typing import Any, TypeVar, cast

__all__ = ["kept", "names_in", "parts_of", "rebound", "wrapped"]

F = TypeVar("F", bound=Callable[..., Any])

_NOTHING = object()  # where a name has no value


def rebound(function: FunctionType, replaced: Mapping[str, object]) -> FunctionType:
    """Return a function that finds other things under some global names.

    Parameters
    ----------
    function : function
        Functions that it wraps, as decorators do, are rebound as well.
    replaced : mapping of str to object
        What it finds, by name.

    Returns
    -------
    function
        With the same code, defaults and attributes.
    """
    names = function.__globals__
    if not replaced.keys().isdisjoint(names_in(function.__code__)):
        # Without a module's name, torch.compile guards what is found here, not what the module has.
        names = {k: v for k, v in names.items() if k != "__name__"} | dict(replaced)
    cells = tuple(_cell(cell, replaced) for cell in function.__closure__ or ())
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    made.__doc__, made.__annotations__ = function.__doc__, function.__annotations__
    if isinstance(function.__dict__.get("__wrapped__"), FunctionType):
        inner = [
            cell.cell_contents for cell in cells if isinstance(cell.cell_contents, FunctionType)
        ]
        same = [f for f in inner if f.__code__ is function.__dict__["__wrapped__"].__code__]
        made.__dict__["__wrapped__"] = same[0] if same else function.__dict__["__wrapped__"]
    return made


def _cell(cell: CellType, replaced: Mapping[str, object]) -> CellType:
    content = _content(cell)
    return CellType(rebound(content, replaced)) if isinstance(content, FunctionType) else cell


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # empty so far
        return _NOTHING


def wrapped(function: FunctionType) -> Iterator[FunctionType]:
    """Yield a function, and those within its decorators: all that `rebound` comes to.

    Parameters
    ----------
    function : function
        As there.

    Yields
    ------
    function
        From the outermost on.
    """
    yield function
    for content in map(_content, function.__closure__ or ()):
        if isinstance(content, FunctionType):
            yield from wrapped(content)


def parts_of(function: FunctionType, replaced: Mapping[str, object]) -> Iterator[object]:
    """Yield what `rebound` copies, which a function that it has made does not see changed.

    Parameters
    ----------
    function : function
        As there.
    replaced : mapping of str to object
        As there.

    Yields
    ------
    object
        Codes, defaults, attributes and the values of the global names of code that is given others.
    """
    for each in wrapped(function):
        yield from (each, each.__code__, each.__defaults__, *each.__dict__.values())
        names = tuple(names_in(each.__code__))
        if not replaced.keys().isdisjoint(names):
            yield from (each.__globals__.get(name, _NOTHING) for name in names)


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names, and those of attributes, that a code has.

    Parameters
    ----------
    code : code
        Of a function.

    Yields
    ------
    str
        Its own, and those of functions and comprehensions in it.
    """
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def kept(parts: Callable[..., Iterable[object]] = lambda *_: ()) -> Callable[[F], F]:
    """Return a decorator of functions that keep each result, until it would be made of other parts.

    Parameters
    ----------
    parts : callable
        Of the function's arguments; yields the objects that its result is made of. By default there
        are none but the arguments.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: F) -> F:
        """Return the function that keeps its results."""
        results: dict[tuple[object, ...], tuple[tuple[object, ...], Any]] = {}

        @wraps(function)
        def call(*arguments: Any) -> Any:
            """Return the kept result, or a new one."""
            now = tuple(parts(*arguments))
            then, result = results.get(arguments, (None, None))
            if then is None or len(then) != len(now) or not all(map(is_, then, now)):
                result = function(*arguments)
                results[arguments] = now, result
            return result

        return cast("F", call)

    return decorate
