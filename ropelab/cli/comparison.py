"""Two rotary embeddings side by side, as numbers: what `ropelab diff` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from ..bands import similarity
from ..bands.lengths import longest_length
from ..bands.quotients import AGREEMENT, frequency_quotients
from ..rope import Rope
from ..spectrum import Spectrum
from .description import lengths_told
from .words import rule_in_words

__all__ = ["Comparison", "Frequencies", "compare", "compared_at"]

_NAMES = {"base", "rule"}  # two of either may give the same numbers
_RUNS = 8  # of neighbouring pairs with one axis; more are listed pair by pair
_FURTHEST = 131_072  # tokens of a text where neither embedding states a length

_PERMUTED = (
    "a layout goes with the order of the rows of q's and k's weights, which llama.cpp's converter "
    "permutes for some models; ropelab.permute_qk_weight turns one into the other"
)
_AS_TEXT = "similarity is that of text, whose position is the same on every axis"


@dataclass(frozen=True)
class Frequencies:
    """Where the frequencies of two embeddings part.

    Parameters
    ----------
    pairs : int
        How many there are.
    differing : int
        How many differ by more than float32 rounds.
    first : int or None
        The first of those.
    largest : int or None
        The one that differs most.
    ratio : float
        The larger frequency divided by the smaller one, where that is largest.
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
    length : int or None
        Tokens of the sequence that they are compared in, where that matters.
    differs : bool
        Whether anything does that changes a rotated vector or a score.
    frequencies : Frequencies or None
        None where their pairs cannot be compared.
    settings : mapping of str to tuple
        What differs beside them: each setting's value in A and in B.
    similarity : mapping of int to float
        By position: the cosine between a vector turned by A and by B, on average over directions.
    notes : tuple of str
        What the numbers do not say, or why there are none.
    """

    layers: str
    length: int | None
    differs: bool
    frequencies: Frequencies | None = None
    settings: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    similarity: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def compared_at(a: Rope | None, b: Rope | None, length: int | None = None) -> Sequence[int | None]:
    """Return the lengths at which two embeddings are to be compared.

    Parameters
    ----------
    a, b : Rope or None
        The embeddings; None for layers without.
    length : int, optional
        The one that is asked for.

    Returns
    -------
    sequence of int or None
        That one; else those at which either rule parts, ascending; None if neither does.
    """
    ropes = [rope for rope in (a, b) if rope is not None]
    told = {each for rope in ropes for each in lengths_told(rope, length) if each is not None}
    return list[int | None](sorted(told)) or [None]


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
            return Comparison(layers, length, differs=False)
        one, other = ("A", "B") if b is None else ("B", "A")
        note = f"{one} has a rotary embedding in these layers, {other} has none"
        return Comparison(layers, length, differs=True, notes=(note,))
    settings = _settings(a, b, length)
    notes = [_PERMUTED] if "layout" in settings else []
    if a.rotary_dim != b.rotary_dim:
        note = f"A turns {a.rotary_dim} channels of a head, B {b.rotary_dim}: no pair is comparable"
        notes.insert(0, note)
        return Comparison(layers, length, differs=True, settings=settings, notes=tuple(notes))
    found = _frequencies(a, b, length)
    differs = bool(found.differing) or bool(settings.keys() - _NAMES)
    values: dict[int, float] = {}
    if found.differing:
        values, why = _similarity(a, b, length)
        notes += [why] if why else []
    shown = settings if differs else {}
    return Comparison(layers, length, differs, found, shown, values, tuple(notes))


def _similarity(a: Rope, b: Rope, length: int | None) -> tuple[dict[int, float], str]:
    """Return the similarity by position, and what is to be known of it."""
    note = ""
    counts = [rope.spectrum(length).position_axes for rope in (a, b)]
    if counts[0] != counts[1]:
        a, b = (replace(rope, axes=None) for rope in (a, b))
        counts, stated = [rope.spectrum(length).position_axes for rope in (a, b)], counts
        note = _AS_TEXT
        if counts[0] != counts[1]:
            return {}, f"no similarity: A has {stated[0]} position axes, B {stated[1]}"
    positions = _positions(a, b, length)
    ids = positions if counts[0] == 1 else np.broadcast_to(positions, (counts[0], positions.size))
    cosines = similarity(a, b, ids, seq_len=length)
    return dict(zip(positions.tolist(), cosines.tolist(), strict=True)), note


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
    return {name: values for name, values in both.items() if not _agree(*values)}


def _agree(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=AGREEMENT)
    return one == other


def _axes(spectrum: Spectrum) -> str:
    """Return the axis of each pair in turn; of one axis, that alone."""
    if spectrum.position_axes == 1:
        return "0"
    runs = [(axis, len(list(pairs))) for axis, pairs in groupby(np.asarray(spectrum.axes).tolist())]
    if len(runs) <= _RUNS:
        return ", ".join(f"{pairs} pairs by axis {axis}" for axis, pairs in runs)
    return " ".join(str(axis) for axis, pairs in runs for _ in range(pairs))


def _frequencies(a: Rope, b: Rope, length: int | None) -> Frequencies:
    quotients = frequency_quotients(a, b, seq_len=length)
    differing = np.flatnonzero(quotients > 1.0 + AGREEMENT)
    largest = int(quotients.argmax())
    first, which = (int(differing[0]), largest) if differing.size else (None, None)
    return Frequencies(quotients.size, differing.size, first, which, float(quotients[largest]))


def _positions(a: Rope, b: Rope, length: int | None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return powers of four up to the last position of a text, by default of the longest stated."""
    stated = [longest for rope in (a, b) if (longest := longest_length(rope))]
    last = (length or max(stated, default=_FURTHEST)) - 1
    powers = [4**n for n in range(32) if 4**n < last]
    return np.array([*powers, last], np.int64)
