"""Ropes as texts, for operators that find a spectrum at the length of a call."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ropelab import Rope, Spectrum, scaling
from ropelab.precision import format_name
from ropelab.scaling import Scaling

from ..length_rules import length_rule
from .spectra import MOST_TEXTS, from_text

__all__ = ["outline", "rope_as_text", "rope_from_text"]


@lru_cache(maxsize=MOST_TEXTS)
def rope_as_text(rope: Rope) -> str:
    """Return a rope as JSON.

    Parameters
    ----------
    rope : Rope
        By a rule of `ropelab.scaling`.

    Returns
    -------
    str
        Equal for equal ropes.

    Raises
    ------
    TypeError
        If the rule is one of your own.

    Examples
    --------
    >>> rope_as_text(Rope(8, scaling=scaling.Linear(2.0)))[:30]
    '{"head_dim":8,"base":10000.0,"'
    """
    return json.dumps(_words(rope), separators=(",", ":"))


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

    Examples
    --------
    >>> rope_from_text('{"head_dim":8,"scaling":{"rule":"Linear","factor":2.0}}').scaling
    Linear(factor=2.0)
    """
    return Rope(**{name: _value(word) for name, word in json.loads(text).items()})


def outline(text: str, numbers: torch.Tensor | None) -> Spectrum:
    """Return a spectrum of the width and the axes of one that may have numbers on a device.

    Parameters
    ----------
    text : str
        As in `SpectrumText`.
    numbers : torch.Tensor, optional
        As in `SpectrumText`; not read.

    Returns
    -------
    Spectrum
        The spectrum itself, if there are no numbers.

    Examples
    --------
    >>> outline('{"inv_freq":[1.0,0.01]}', None).rotary_dim
    4
    """
    return from_text(text) if numbers is None else length_rule(rope_from_text(text)).spectrum


def _words(described: Any) -> dict[str, Any]:
    """Return the fields of a rope or a rule."""
    return {f.name: _word(getattr(described, f.name)) for f in fields(described)}


def _word(value: Any) -> Any:
    if isinstance(value, Scaling):
        name = type(value).__name__
        if getattr(scaling, name, None) is not type(value):
            msg = (
                f"rope: expected a rule of ropelab.scaling, which has a name in a graph; got "
                f"{name}; pass rope.spectrum(seq_len)"
            )
            raise TypeError(msg)
        return {"rule": name, **_words(value)}
    if isinstance(value, tuple):
        return [*map(_word, value)]
    return format_name(value) if isinstance(value, np.dtype) else value


def _value(word: Any) -> Any:
    if isinstance(word, dict):
        parameters = {name: _value(value) for name, value in word.items() if name != "rule"}
        return getattr(scaling, word["rule"])(**parameters)
    return tuple(map(_value, word)) if isinstance(word, list) else word
