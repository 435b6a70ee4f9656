"""The wavelengths of all pairs as a picture of characters; bands differ in shape, not hue alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from ..bands.lengths import longest_length
from ..rope import Rope
from ..scaling import Default
from .words import has_own_progression, named_bands, of_length

__all__ = ["band_plot"]

_ROWS = 13
_LABEL = 7  # columns of the axis on the left
_MARGIN = 12  # columns for lengths on the right
_COLUMNS = 64  # that a picture has at least, room permitting
_NARROW, _LEAST = 48, 10  # of the terminal without a margin; of the picture


class _Signs(NamedTuple):
    kept: str
    blended: str
    stretched: str
    changed: str
    plain: str
    length: str
    still: str
    axis: str
    corner: str
    floor: str


_UNICODE = _Signs("●", "◆", "□", "◆", "·", "╌", "▲", "│", "└", "─")
_ASCII = _Signs("o", "+", "#", "+", ".", "-", "^", "|", "+", "-")
_STYLES = {
    "kept": "blue",
    "blended": "yellow",
    "stretched": "red",
    "changed": "yellow",
    "still": "red",
}


_LEGEND = {
    "kept": "kept",
    "blended": "blended",
    "stretched": "stretched",
    "changed": "changed, each pair by another factor",
    "still": "standing still",
    "plain": "without scaling",
    "length": "a length that it is made for",
}
_TRAINED = "original_max_position_embeddings"


def band_plot(
    rope: Rope,
    *,
    width: int,
    length: int | None = None,
    marked: Iterable[int] | None = None,
    unicode: bool = True,
) -> Text | None:
    """Draw the wavelength of every pair in tokens, on a logarithmic axis.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    width : int
        Columns that there are.
    length : int, optional
        Of the sequence, for rules that depend on it.
    marked : iterable of int, optional
        Lengths in tokens to draw a line at; by default those that the embedding states.
    unicode : bool, default True
        Whether signs beyond ASCII can be written.

    Returns
    -------
    rich.text.Text or None
        The picture and its legend; None if there is no room for one.
    """
    margin = _MARGIN if width >= _NARROW else 0
    pairs = rope.rotary_dim // 2
    room = width - _LABEL - 1 - margin
    if room < _LEAST:
        return None
    columns = min(pairs * max(1, _COLUMNS // pairs), room)
    signs = _UNICODE if unicode else _ASCII
    curves, stated = _curves(rope, length), _stated(rope) if marked is None else list(marked)
    scale = _Scale.of([*(values for _, _, values in curves), np.array(list(stated))])

    grid = [[""] * columns for _ in range(_ROWS)]
    for tokens in stated:
        grid[scale.row(tokens)] = ["length"] * columns
    for name, members, values in curves:
        for pair, value in zip(members.tolist(), values.tolist(), strict=True):
            grid[scale.row(value)][(2 * pair + 1) * columns // (2 * pairs)] = name

    labels = {scale.row(10.0**power): f"1e{power} " for power in scale.powers()}
    margins = {scale.row(tokens): f" {of_length(tokens)}" for tokens in stated if margin}
    text = Text(no_wrap=True)
    for row in reversed(range(_ROWS)):
        text.append(f"{labels.get(row, ''):>{_LABEL}}{signs.axis}")
        for name in grid[row]:
            text.append(getattr(signs, name) if name else " ", _STYLES.get(name))
        text.append(f"{margins.get(row, '')}\n")
    text.append(f"{'tokens ':>{_LABEL}}{signs.corner}{signs.floor * columns}\n")
    text.append(f"{'pair ':>{_LABEL}} 0{pairs - 1:>{columns - 1}}\n")
    drawn = {name for row in grid for name in row}
    for name, meaning in _LEGEND.items():
        if name in drawn:
            text.append(f"{getattr(signs, name):>{_LABEL + 1}}", _STYLES.get(name))
            text.append(f" {meaning}\n")
    text.rstrip()
    return text


class _Scale(NamedTuple):
    """Rows of a logarithmic axis between two powers of ten."""

    low: int
    high: int

    @classmethod
    def of(cls, values: list[NDArray[np.float64]]) -> _Scale:
        every = np.concatenate(values)
        every = every[np.isfinite(every)]
        low = math.floor(math.log10(every.min()))
        return cls(low, max(math.ceil(math.log10(every.max())), low + 1))

    def row(self, tokens: float) -> int:
        if math.isinf(tokens):
            return _ROWS - 1
        return round((math.log10(tokens) - self.low) / (self.high - self.low) * (_ROWS - 1))

    def powers(self) -> range:
        return range(self.low, self.high + 1, 1 + (self.high - self.low) // _ROWS)


def _curves(
    rope: Rope, length: int | None
) -> list[tuple[str, NDArray[np.int64], NDArray[np.float64]]]:
    """Return the names, pairs and wavelengths of what is drawn, the last one on top."""
    scaled = rope.spectrum(length).wavelengths
    every = np.arange(scaled.size)
    if has_own_progression(rope):
        return [("kept", every, scaled)]
    curves = [("plain", every, replace(rope, scaling=Default()).spectrum().wavelengths)]
    curves += [
        (name, np.array(band.pairs, np.int64), np.array(band.wavelengths, np.float64))
        for name, band in named_bands(rope, length)
    ]
    return curves


def _stated(rope: Rope) -> list[int]:
    """Return the lengths that an embedding is made for, each once."""
    given = (getattr(rope.scaling, _TRAINED, None), rope.max_position_embeddings)
    return sorted({length for length in (*given, longest_length(rope)) if length is not None})
