"""Spectra as texts, which a schema, a graph and another process can hold."""

from __future__ import annotations

import json
import reprlib
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

import torch

from ropelab import Spectrum
from ropelab.spectrum import check_spectrum

from .constants import constant_by_identity

__all__ = ["MOST_TEXTS", "SpectrumText", "as_text", "described", "from_text", "read_words"]

MOST_TEXTS = 1024


class SpectrumText(NamedTuple):
    """A spectrum as operators take it; `spectrum_for` makes one where the host has none.

    Parameters
    ----------
    text : str
        Of a `ropelab.Spectrum`; or of a `ropelab.Rope`, if there are numbers.
    numbers : torch.Tensor of int64, optional
        What the rope's rule yields at the length of this call, on the device; contiguous.
    """

    text: str
    numbers: torch.Tensor | None = None


def described(spectrum: Spectrum | SpectrumText) -> SpectrumText:
    """Return a spectrum as operators take it.

    Parameters
    ----------
    spectrum : Spectrum or SpectrumText
        Under torch.compile a Spectrum is a constant, and has to be made outside.

    Returns
    -------
    SpectrumText
        The same numbers.

    Raises
    ------
    TypeError
        If it is neither, or its parts are none.
    """
    if isinstance(spectrum, SpectrumText):
        text: object = spectrum.text
        numbers: object = spectrum.numbers
        if not isinstance(text, str):
            read_words(text, Spectrum)
        if numbers is not None and not isinstance(numbers, torch.Tensor):
            msg = (
                f"spectrum: expected numbers in a torch.Tensor, or None; got "
                f"{type(numbers).__name__}; spectrum_for makes them"
            )
            raise TypeError(msg)
        return spectrum
    check_spectrum(spectrum)
    return SpectrumText(_text(spectrum))


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
    >>> as_text(Spectrum([1.0, 0.01], attention_factor=1.5))
    '{"inv_freq":[1.0,0.01],"attention_factor":1.5}'
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

    Raises
    ------
    TypeError, ValueError
        If it is the text of something else, or of no spectrum.

    Examples
    --------
    >>> from_text('{"inv_freq":[1.0,0.01]}').wavelengths.round(2).tolist()
    [6.28, 628.32]
    """
    return Spectrum(**read_words(text, Spectrum))


def read_words(text: object, kind: type[Any]) -> dict[str, Any]:
    """Return what a text says, by the names of the fields of a class.

    Parameters
    ----------
    text : str
        JSON.
    kind : type
        A dataclass.

    Returns
    -------
    dict
        At least the fields that have no default.

    Raises
    ------
    TypeError
        If it is no string.
    ValueError
        If it says something else.

    Examples
    --------
    >>> read_words('{"inv_freq":[1.0]}', Spectrum)
    {'inv_freq': [1.0]}
    """
    known, needed = _names(kind)
    try:
        words = json.loads(text)  # type: ignore[arg-type]  # what is no text is refused below
    except (TypeError, ValueError):
        words = None
    if not isinstance(words, dict) or not needed <= words.keys() <= known:
        msg = (
            f"spectrum: expected the text of a ropelab.{kind.__name__} in SpectrumText; got "
            f"{reprlib.repr(text)}; spectrum_for makes one: a Rope's beside numbers, a Spectrum's "
            f"without"
        )
        raise ValueError(msg) if isinstance(text, str) else TypeError(msg)
    return words


def _names(kind: type[Any]) -> tuple[set[str], set[str]]:
    """Return all fields of a dataclass, and those that have no default."""
    given = list(signature(kind).parameters.values())
    return {one.name for one in given}, {one.name for one in given if one.default is one.empty}


_text = constant_by_identity(as_text)
