"""Pictures of rotary embeddings, drawn with matplotlib (``pip install 'ropelab[plot]'``).

Every picture reads without colour: what differs in hue differs in shape too. The hues are those of
Okabe and Ito, "Color Universal Design", 2008, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .bands import Band, BandName, classify
from .rope import Rope
from .scaling import Default
from .spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["wavelengths"]

_INK = "#333333"
_FAINT = "#8c8c8c"
_BLUE = "#0072B2"
_ORANGE = "#E69F00"
_VERMILLION = "#D55E00"


class _Marker(NamedTuple):
    shape: str
    edge: str
    face: str


_MARKERS: dict[BandName, _Marker] = {
    "kept": _Marker("o", edge=_BLUE, face=_BLUE),
    "blended": _Marker("D", edge=_ORANGE, face=_ORANGE),
    "stretched": _Marker("s", edge=_VERMILLION, face="white"),
}

_AXES = (
    _Marker("o", edge=_BLUE, face=_BLUE),
    _Marker("s", edge=_VERMILLION, face="white"),
    _Marker("D", edge=_ORANGE, face=_ORANGE),
    _Marker("^", edge=_INK, face="white"),
)


def wavelengths(rope: Rope, *, ax: Axes | None = None, seq_len: int | None = None) -> Axes:
    """Draw the wavelength of every pair, before and after scaling, by band.

    The thin line is the embedding without scaling, the markers are the embedding itself; where
    there are several position axes, they tell the pairs apart by their axis instead. Horizontal
    lines show the context lengths that the embedding states: the one it was trained at, where its
    rule names it, and the longest it is meant for.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    See Also
    --------
    ropelab.bands.classify : The bands that the markers show.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")

    spectrum = rope.spectrum(seq_len)
    unscaled = replace(rope, scaling=Default()).spectrum().wavelengths
    ax.plot(range(unscaled.size), unscaled, color=_INK, linewidth=1.0, label="without scaling")
    if spectrum.position_axes > 1:
        _draw_axes(ax, spectrum)
    else:
        for band in classify(rope, seq_len=seq_len):
            _draw_band(ax, band)
    for length, names in _stated_lengths(rope).items():
        _draw_length(ax, "\n= ".join(names), length)
    slowest = float(spectrum.wavelengths[-1])
    rising = spectrum.position_axes == 1 and slowest >= unscaled[0]
    _dress(ax, pairs=unscaled.size, rising=bool(rising))
    return ax


def _draw_band(ax: Axes, band: Band) -> None:
    if not band.pairs:
        return
    marker = _MARKERS[band.name]
    style: dict[str, Any] = {
        "linestyle": "none",
        "markersize": 4.6,
        "markeredgewidth": 1.2,
        "markeredgecolor": marker.edge,
        "markerfacecolor": marker.face,
    }
    count = f"{len(band)} pair{'s' if len(band) > 1 else ''}"
    if band.name == "stretched" and max(band.stretches) == math.inf:
        # Along the upper edge, pointing to where their wavelength is.
        style |= {"transform": ax.get_xaxis_transform(), "clip_on": False}
        label = f"{count} standing still"
        ax.plot(band.pairs, [1.0] * len(band), marker="^", label=label, **style)
        return
    label = f"{count} {band.name}"
    if band.name == "stretched":
        label += f" ×{max(band.stretches):.4g}"
    ax.plot(band.pairs, band.wavelengths, marker=marker.shape, label=label, **style)


def _draw_axes(ax: Axes, spectrum: Spectrum) -> None:
    """Draw the pairs by the position axis that turns them."""
    axes = np.asarray(spectrum.axes)
    for axis, marker in zip(range(spectrum.position_axes), _AXES, strict=False):
        pairs = np.flatnonzero(axes == axis)
        ax.plot(
            pairs,
            spectrum.wavelengths[pairs],
            linestyle="none",
            marker=marker.shape,
            markersize=4.6,
            markeredgewidth=1.2,
            markeredgecolor=marker.edge,
            markerfacecolor=marker.face,
            label=f"{pairs.size} pairs turned by axis {axis}",
        )


def _stated_lengths(rope: Rope) -> dict[int, list[str]]:
    stated = {
        "original_max_position_embeddings": getattr(
            rope.scaling, "original_max_position_embeddings", None
        ),
        "max_position_embeddings": rope.max_position_embeddings,
    }
    named: dict[int, list[str]] = {}
    for name, length in stated.items():
        if length is not None:
            named.setdefault(length, []).append(name)
    return named


def _draw_length(ax: Axes, name: str, length: int) -> None:
    from matplotlib.patheffects import withStroke

    ax.axhline(length, color=_FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    ax.annotate(
        f"{length:,} tokens = {name}",
        xy=(0.0, length),
        xycoords=("axes fraction", "data"),
        xytext=(6, 3),
        textcoords="offset points",
        color=_INK,
        fontsize="small",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _dress(ax: Axes, *, pairs: int, rising: bool) -> None:
    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set_xlim(-1, pairs)
    ax.set_xlabel("pair index")
    ax.set_ylabel("wavelength (tokens per turn)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right" if rising else "best", frameon=False)
