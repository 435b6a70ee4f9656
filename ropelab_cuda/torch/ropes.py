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

from ..device_spectrum import numbers_words
from ..length_rules import LengthRule, length_rule
from .spectra import MOST_TEXTS, from_text, read_words

__all__ = ["outline", "rope_as_text", "rope_from_text", "rule_of"]

_MEND = "leave them as spectrum_for has made them"


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

    Raises
    ------
    TypeError, ValueError
        If it is the text of something else, or of no rope.

    Examples
    --------
    >>> rope_from_text('{"head_dim":8,"scaling":{"rule":"Linear","factor":2.0}}').scaling
    Linear(factor=2.0)
    """
    return Rope(**{name: _value(word) for name, word in read_words(text, Rope).items()})


def rule_of(text: str, numbers: torch.Tensor) -> LengthRule:
    """Return the rule of a rope, having made sure that there are all of its numbers.

    Parameters
    ----------
    text : str
        As in `SpectrumText`.
    numbers : torch.Tensor
        As in `SpectrumText`. Kernels are given their address alone, and would read past the end of
        too few.

    Returns
    -------
    LengthRule
        The same object for the same text.

    Raises
    ------
    TypeError
        If they are no int64.
    ValueError
        If there are too few or too many, or not next to one another.

    Examples
    --------
    >>> rope = Rope(4, scaling=scaling.DynamicNTK(2.0), max_position_embeddings=9)
    >>> rule_of(rope_as_text(rope), torch.zeros(9, dtype=torch.int64)).spectrum.rotary_dim
    4
    """
    rule, shape = _rule_and_shape(text)
    if numbers.dtype is not torch.int64:
        msg = f"spectrum: expected numbers of torch.int64; got {numbers.dtype}; {_MEND}"
        raise TypeError(msg)
    if numbers.shape != shape or not numbers.is_contiguous():
        msg = (
            f"spectrum: expected the {shape[0]} numbers of its rope, next to one another; got "
            f"shape {tuple(numbers.shape)}, strides {numbers.stride()}; {_MEND}"
        )
        raise ValueError(msg)
    return rule


@lru_cache(maxsize=MOST_TEXTS)
def _rule_and_shape(text: str) -> tuple[LengthRule, tuple[int]]:
    """Return the rule of a rope and the shape of its numbers, both at once since calls wait."""
    rule = length_rule(rope_from_text(text))
    return rule, (numbers_words(rule.spectrum.rotary_dim // 2),)


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
        return _rule(word.get("rule"))(**parameters)
    return tuple(map(_value, word)) if isinstance(word, list) else word


def _rule(name: object) -> type[Scaling]:
    """Return the rule of a name that `_word` has written."""
    found = getattr(scaling, name, None) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, Scaling)):
        msg = (
            f"spectrum: expected a text that names a rule of ropelab.scaling; got {name!r}; "
            f"spectrum_for makes one"
        )
        raise ValueError(msg)
    return found
