"""Two rotary embeddings side by side, as numbers: what `ropelab diff` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..bands import frequency_ratios, similarity
from ..rope import Rope
from ..spectrum import Spectrum
from .words import rule_in_words

__all__ = ["Comparison", "Frequencies", "compare"]

_ROUNDING = 2.0**-40  # frequencies nearer than this differ by the order of operations alone
_NAMES = {"base", "rule"}  # two of either may give the same numbers
_RUNS = 8  # of neighbouring pairs with one axis; more are listed pair by pair
_FURTHEST = 131_072  # position looked at where neither embedding states a length


@dataclass(frozen=True)
class Frequencies:
    """Where the frequencies of two embeddings part.

    Parameters
    ----------
    pairs : int
        How many there are.
    differing : int
        How many differ by more than rounding.
    first : int or None
        The first of those.
    largest : int or None
        The one that differs most.
    ratio : float
        Its larger frequency, divided by its smaller one.
    """

    pairs: int
    differing: int
    first: int | None
    largest: int | None
    ratio: float


@dataclass(frozen=True)
class Comparison:
    """Two embeddings of the same layers.

    Parameters
    ----------
    layers : str
        Which.
    differs : bool
        Whether anything does that changes a rotated vector or a score.
    frequencies : Frequencies or None
        None where their pairs cannot be compared.
    settings : mapping of str to tuple
        What differs beside them: each setting's value in A and in B.
    similarity : mapping of int to float
        By position: the cosine between a vector turned by A and by B, on average over directions.
    note : str
        Why there are no numbers.
    """

    layers: str
    differs: bool
    frequencies: Frequencies | None = None
    settings: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    similarity: Mapping[int, float] = field(default_factory=dict)
    note: str = ""


def compare(layers: str, a: Rope | None, b: Rope | None, length: int | None = None) -> Comparison:
    """Compare the embeddings of some layers.

    Parameters
    ----------
    layers : str
        Their kinds.
    a, b : Rope or None
        The embeddings; None for layers without.
    length : int, optional
        Of the sequence, for rules that depend on it.

    Returns
    -------
    Comparison
        The numbers.
    """
    if a is None or b is None:
        if a is b:
            return Comparison(layers, differs=False)
        one, other = ("A", "B") if b is None else ("B", "A")
        note = f"{one} has a rotary embedding in these layers, {other} has none"
        return Comparison(layers, differs=True, note=note)
    settings = _settings(a, b, length)
    if a.rotary_dim != b.rotary_dim:
        note = f"A turns {a.rotary_dim} channels of a head, B {b.rotary_dim}: no pair is comparable"
        return Comparison(layers, differs=True, settings=settings, note=note)
    found = _frequencies(a, b, length)
    differs = bool(found.differing) or bool(settings.keys() - _NAMES)
    values: dict[int, float] = {}
    note = ""
    if found.differing:
        axes = max(rope.spectrum(length).position_axes for rope in (a, b))
        positions = _positions(a, b)
        ids = positions if axes == 1 else np.broadcast_to(positions, (axes, positions.size))
        if a.spectrum(length).position_axes == b.spectrum(length).position_axes:
            cosines = similarity(a, b, ids, seq_len=length)
            values = dict(zip(positions.tolist(), cosines.tolist(), strict=True))
    return Comparison(layers, differs, found, settings if differs else {}, values, note)


def _settings(a: Rope, b: Rope, length: int | None) -> dict[str, tuple[object, object]]:
    """Return what differs beside the frequencies, in the order of its effect."""
    one, other = a.spectrum(length), b.spectrum(length)
    both: dict[str, tuple[object, object]] = {
        "base": (a.base, b.base),
        "rule": (rule_in_words(a.scaling), rule_in_words(b.scaling)),
        "factor of cos and sin": (one.attention_factor, other.attention_factor),
        "factor of the softmax": (one.softmax_factor, other.softmax_factor),
        "channels turned": (a.rotary_dim, b.rotary_dim),
        "channels of a head": (a.head_dim, b.head_dim),
        "first channel": (a.rotary_offset, b.rotary_offset),
        "layout": (a.layout, b.layout),
        "layout put out": (a.output_layout, b.output_layout),
        "axes that turn the pairs": (_axes(one), _axes(other)),
    }
    return {name: values for name, values in both.items() if values[0] != values[1]}


def _axes(spectrum: Spectrum) -> str:
    """Return the axis of each pair in turn; of one axis, that alone."""
    if spectrum.position_axes == 1:
        return "0"
    runs = [(axis, len(list(pairs))) for axis, pairs in groupby(np.asarray(spectrum.axes).tolist())]
    if len(runs) <= _RUNS:
        return ", ".join(f"{pairs} pairs by axis {axis}" for axis, pairs in runs)
    return " ".join(str(axis) for axis, pairs in runs for _ in range(pairs))


def _frequencies(a: Rope, b: Rope, length: int | None) -> Frequencies:
    ratios = np.abs(frequency_ratios(a, b, seq_len=length))
    with np.errstate(divide="ignore"):
        either = np.maximum(ratios, 1.0 / ratios)
    differing = np.flatnonzero(~(either <= 1.0 + _ROUNDING))
    if not differing.size:
        return Frequencies(ratios.size, 0, None, None, 1.0)
    largest = int(either.argmax())
    return Frequencies(
        ratios.size, differing.size, int(differing[0]), largest, float(either[largest])
    )


def _positions(a: Rope, b: Rope) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return powers of four up to the longest length that either states."""
    stated = [rope.max_position_embeddings for rope in (a, b) if rope.max_position_embeddings]
    furthest = max(stated, default=_FURTHEST)
    powers = [4**n for n in range(32) if 4**n < furthest]
    return np.array([*powers, furthest], np.int64)
