"""Spectra and ropes as texts, which an operator's schema, a graph and another process can hold."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from ropelab import Rope, Spectrum, scaling
from ropelab.scaling import Scaling

__all__ = ["SpectrumText", "as_text", "constant_by_identity", "from_text", "rope_as_text"]

MOST_TEXTS = 1024

T = TypeVar("T")


class SpectrumText(NamedTuple):
    """A spectrum as operators take it.

    Parameters
    ----------
    text : str
        Of a `ropelab.Spectrum`; or of a `ropelab.Rope`, if there are numbers.
    numbers : torch.Tensor, optional
        What the rope's rule has yielded at the length of a call, in the memory of the device.
    """

    text: str
    numbers: torch.Tensor | None = None


@lru_cache(maxsize=MOST_TEXTS)
def as_text(spectrum: Spectrum) -> str:
    """Return a spectrum as JSON, from which every number is read back exactly.

    Parameters
    ----------
    spectrum : Spectrum
        The spectrum.

    Returns
    -------
    str
        Equal for equal spectra.

    Examples
    --------
    >>> as_text(Spectrum([1.0, 0.01]))
    '{"inv_freq":[1.0,0.01]}'
    """
    values: dict[str, Any] = {"inv_freq": spectrum.inv_freq.tolist()}
    for name in ("attention_factor", "softmax_factor"):
        if getattr(spectrum, name) != 1.0:
            values[name] = getattr(spectrum, name)
    for name in ("axes", "periods"):
        array = getattr(spectrum, name)
        if array is not None and array.any():
            values[name] = array.tolist()
    return json.dumps(values, separators=(",", ":"))


@lru_cache(maxsize=MOST_TEXTS)
def from_text(text: str) -> Spectrum:
    """Return the spectrum of a text.

    Parameters
    ----------
    text : str
        As `as_text` writes it.

    Returns
    -------
    Spectrum
        The same object for the same text.

    Examples
    --------
    >>> from_text('{"inv_freq":[1.0,0.01]}').wavelengths.round(2).tolist()
    [6.28, 628.32]
    """
    return Spectrum(**json.loads(text))


@lru_cache(maxsize=MOST_TEXTS)
def rope_as_text(rope: Rope) -> str:
    """Return a rope as JSON, whose rule is one of `ropelab.scaling`.

    Parameters
    ----------
    rope : Rope
        The rope.

    Returns
    -------
    str
        Equal for equal ropes.

    Raises
    ------
    TypeError
        If the rule is one of your own.
    """
    return json.dumps(_plain(rope), separators=(",", ":"))


@lru_cache(maxsize=MOST_TEXTS)
def rope_from_text(text: str) -> Rope:
    """Return the rope of a text.

    Parameters
    ----------
    text : str
        As `rope_as_text` writes it.

    Returns
    -------
    Rope
        The same object for the same text.
    """
    values = json.loads(text)
    return Rope(**{name: _lively(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    """Return what JSON has of a value; a rule is a dictionary with its class's name."""
    if is_dataclass(value) and not isinstance(value, type):
        words = {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.init}
        if not isinstance(value, Scaling):
            return words
        name = type(value).__name__
        if getattr(scaling, name, None) is not type(value):
            msg = (
                f"rope: expected a rule of ropelab.scaling; got {name}; pass rope.spectrum(seq_len)"
            )
            raise TypeError(msg)
        return {"rule": name, **words}
    if isinstance(value, np.dtype):
        from ropelab.precision import format_name

        return format_name(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _lively(value: Any) -> Any:
    if isinstance(value, dict):
        words = {name: _lively(item) for name, item in value.items()}
        return getattr(scaling, words.pop("rule"))(**words)
    return tuple(map(_lively, value)) if isinstance(value, list) else value


def constant_by_identity(function: Callable[..., T]) -> Callable[..., T]:
    """Have torch.compile take a function of one object for a constant, while it is that object.

    Dynamo cannot trace the arithmetic of NumPy behind a spectrum, and need not. ``id`` is what
    makes it compile anew for another object.

    Parameters
    ----------
    function : callable
        Of an object that does not change, and of constants.

    Returns
    -------
    callable
        The same function.
    """
    held: list[object] = []  # what was compiled in, so that no other object gets its address

    @torch.compiler.assume_constant_result
    def at(address: int, *options: Any) -> T:
        subject = ctypes.cast(address, ctypes.py_object).value
        held.append(subject)
        return function(subject, *options)

    def wrapper(subject: Any, *options: Any) -> T:
        if torch.compiler.is_dynamo_compiling():
            return at(id(subject), *options)
        return function(subject, *options)

    return wrapper
