"""Spectra as texts, which a schema, a graph and another process can hold."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from ropelab import Spectrum
from ropelab.spectrum import check_spectrum

from .constants import constant_by_identity

__all__ = ["MOST_TEXTS", "SpectrumText", "as_text", "described", "from_text"]

MOST_TEXTS = 1024


class SpectrumText(NamedTuple):
    """A spectrum as operators take it; `spectrum_for` makes one where the host has none.

    Parameters
    ----------
    text : str
        Of a `ropelab.Spectrum`; or of a `ropelab.Rope`, if there are numbers.
    numbers : torch.Tensor of int64, optional
        What the rope's rule yields at the length of this call, on the device.
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
        If it is neither.
    """
    if isinstance(spectrum, SpectrumText):
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

    Examples
    --------
    >>> from_text('{"inv_freq":[1.0,0.01]}').wavelengths.round(2).tolist()
    [6.28, 628.32]
    """
    return Spectrum(**json.loads(text))


_text = constant_by_identity(as_text)
