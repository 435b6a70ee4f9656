"""One call: made, made again by its plan, and looked at from all sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.precision import format_name

from .errors import Finding
from .memory import Arena, Place

__all__ = ["Call", "Device", "Made", "Written", "findings"]

Written = tuple[Place, Any]  # a view, and which of its elements


class Device(Protocol):
    """Where calls run."""

    def put(self, memory: Array) -> Any:
        """Return a copy of flat bytes."""

    def refill(self, held: Any, memory: Array) -> None:
        """Put flat bytes into such a copy again."""

    def view(self, held: Any, place: Place) -> Any:
        """Return a tensor: a view into such a copy."""

    def take(self, tensor: Any) -> Array:
        """Return a tensor's elements."""


@dataclass(frozen=True, eq=False)
class Made:
    """An argument that is made of others, on the device: what a function returns of them."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call whose tensors are places of an arena.

    Parameters
    ----------
    arena : Arena
        What all of them lie in.
    function : str
        Name in `ropelab_cuda`, but for the underscore of one that works in place.
    way : {"new", "out", "in place"}
        Where the results go.
    again : bool
        Whether to make it twice, the second time by the plan that was made.
    arguments, options
        What it is given; a place, also in a tuple, stands for its tensor, and `Made` for what it
        says.
    results : list of Place, or None
        Where the results go, which are the tensors returned; None for new ones.
    described : list of (shape, dtype)
        Of the results.
    written : list of (Place, index)
        What else is written.
    check : callable
        From the results, and all bytes before and after, to what there is to say of them.
    """

    arena: Arena
    function: str
    way: str
    again: bool
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    results: list[Place] | None
    described: list[tuple[tuple[int, ...], str]]
    written: tuple[Written, ...] = ()
    check: Callable[[list[Array], Array, Array], list[Finding]]

    def all_written(self) -> list[Written]:
        """Return all of the arena that is written."""
        return [*self.written, *((place, ...) for place in self.results or ())]


def findings(call: Call, device: Device) -> list[Finding]:
    """Make a call; return its errors, or raise AssertionError."""
    before = call.arena.memory()
    held = device.put(before)
    tensors: dict[Place, Any] = {}

    def tensor_of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(tensor_of, value))
        if isinstance(value, Made):
            return value.function(*map(tensor_of, value.arguments))
        if not isinstance(value, Place):
            return value
        if value not in tensors:
            tensors[value] = device.view(held, value)
        return tensors[value]

    arguments = tensor_of(call.arguments)
    options = {name: tensor_of(value) for name, value in call.options.items()}
    function = getattr(ropelab_cuda, call.function + "_" * (call.way == "in place"))

    def made() -> list[Array]:
        """Return the results, and last all bytes."""
        answers = function(*arguments, **options)
        answers = answers if isinstance(answers, tuple) else (answers,)
        assert len(answers) == len(call.described)
        after = device.take(held)
        _check_outside(before, after, call.all_written())
        if call.results is None:
            return [*map(device.take, answers), after]
        for place, answer in zip(call.results, answers, strict=True):
            assert answer is tensor_of(place), "another tensor than the one that was given"
        return [*(place.of(after) for place in call.results), after]

    *results, after = made()
    for result, (shape, dtype) in zip(results, call.described, strict=True):
        assert (result.shape, format_name(result.dtype)) == (shape, dtype)
    found = call.check(results, before, after)
    if call.again:
        device.refill(held, before)
        for one, other in zip((*results, after), made(), strict=True):
            assert one.tobytes() == other.tobytes(), "a second call gave something else"
    return found


def _check_outside(before: Array, after: Array, written: list[Written]) -> None:
    """Check that nothing but the results was written."""
    expected = before.copy()
    for place, index in written:
        place.of(expected)[index] = place.of(after)[index]
    assert np.array_equal(expected, after), "written outside of the results"
