"""The wavelength of every pair, by band."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bands import Band, classify, completes_turn
from ..bands.classification import falls_into_bands
from ..checks import check_rope
from ..rope import Rope
from ..scaling import Axial, Default, ExplicitFrequencies
from ..spectrum import Spectrum
from .style import DIAMOND, DISK, FAINT, INK, SQUARE, TRIANGLE, Marker, axes_or_new, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["wavelengths"]

_AXES = (DISK, SQUARE, DIAMOND, TRIANGLE)


def wavelengths(
    rope: Rope,
    *,
    context_length: int | None = None,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw the wavelength of every pair, before and after scaling, by band.

    The thin line is the embedding without scaling, the markers are the embedding itself: by the
    bands of a rule that has any, all alike for a rule that changes every pair by another amount,
    by axis where there are several position axes. A rule with a progression of its own has no
    line. Dashed lines show the context lengths that the embedding states: the one it was trained
    at, where its rule names it, and the longest it is meant for; a dotted one a length asked about.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to draw.
    context_length : int, optional
        A length in tokens to compare the wavelengths with; how many pairs turn once is counted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If a length is not a positive integer.

    See Also
    --------
    ropelab.bands.classify : The bands that the markers show.
    ropelab.bands.completes_turn : The pairs that turn once.
    """
    check_rope(rope)
    ax = axes_or_new(ax)
    spectrum = rope.spectrum(seq_len)
    rule = getattr(rope.scaling, "inner", rope.scaling)
    own = isinstance(rule, Axial | ExplicitFrequencies)  # a progression not of the rope's base
    unscaled = replace(rope, scaling=Default()).spectrum().wavelengths
    if not own:
        ax.plot(range(unscaled.size), unscaled, color=INK, linewidth=1.0, label="without scaling")
    if spectrum.position_axes > 1:
        _draw_axes(ax, spectrum)
    elif own:
        _draw(ax, range(unscaled.size), spectrum.wavelengths, DISK, "given")
    else:
        _draw_bands(ax, *classify(rope, seq_len=seq_len))
    unit = "patches" if isinstance(rule, Axial) else "tokens"
    _dress(ax, pairs=unscaled.size, unit=unit)
    if context_length is not None:
        done = int(completes_turn(rope, context_length, seq_len=seq_len).sum())
        told = f"{done} pairs turn in {context_length:,} tokens"
        ax.axhline(context_length, color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)), label=told)
    for length, names in _stated_lengths(rope).items():
        # Text above the line before both curves cross it, or below it behind, meets no marker.
        before = float(np.mean(np.maximum(unscaled, spectrum.wavelengths) < length))
        behind = float(np.mean(np.minimum(unscaled, spectrum.wavelengths) >= length))
        _draw_length(ax, names, length, room=max(before, behind), left=before >= behind)
    rising = spectrum.position_axes == 1 and spectrum.wavelengths[-1] >= unscaled[0]
    ax.legend(loc="lower right" if rising else "best", frameon=False)
    return ax


def _draw_bands(ax: Axes, kept: Band, blended: Band, stretched: Band) -> None:
    """Draw bands; pairs that a rule changes each by another amount are one group."""
    if len(kept):
        _draw(ax, kept.pairs, kept.wavelengths, DISK, "kept")
    if not falls_into_bands(kept, blended, stretched):
        changed = sorted(
            (*band, stretch)
            for part in (blended, stretched)
            for *band, stretch in zip(part.pairs, part.wavelengths, part.stretches, strict=True)
        )
        pairs, lengths, stretches = zip(*changed, strict=True)
        ends = f"changed, ×{min(stretches):.4g} to ×{max(stretches):.4g}"
        _draw(ax, pairs, lengths, SQUARE, ends)
        return
    if len(blended):
        _draw(ax, blended.pairs, blended.wavelengths, DIAMOND, "blended")
    if len(stretched) and max(stretched.stretches) == math.inf:
        # Under the upper edge, pointing to where their wavelength is.
        ax.margins(y=0.1)
        upper = {"transform": ax.get_xaxis_transform()}
        name = "standing still, of infinite wavelength"
        _draw(ax, stretched.pairs, [0.97] * len(stretched), TRIANGLE, name, **upper)
    elif len(stretched):
        name = f"stretched ×{max(stretched.stretches):.4g}"
        _draw(ax, stretched.pairs, stretched.wavelengths, SQUARE, name)


def _draw_axes(ax: Axes, spectrum: Spectrum) -> None:
    """Draw the pairs by the position axis that turns them."""
    axes = np.asarray(spectrum.axes)
    for axis, marker in zip(range(spectrum.position_axes), _AXES, strict=False):
        pairs = np.flatnonzero(axes == axis)
        _draw(ax, pairs, spectrum.wavelengths[pairs], marker, f"turned by axis {axis}")


def _draw(ax: Axes, pairs: Any, values: Any, marker: Marker, name: str, **style: Any) -> None:
    """Draw a group of pairs, counted in its label."""
    ax.plot(
        pairs,
        values,
        linestyle="none",
        marker=marker.shape,
        markersize=4.6,
        markeredgewidth=1.2,
        markeredgecolor=marker.edge,
        markerfacecolor=marker.face,
        label=f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''} {name}",
        **style,
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


def _draw_length(ax: Axes, names: list[str], length: int, *, room: float, left: bool) -> None:
    """Draw a horizontal line and its text, in fewer columns if that is too long for the room."""
    from matplotlib.patheffects import withStroke

    ax.axhline(length, color=FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    text = ax.annotate(
        f"{length:,} tokens = " + "\n= ".join(names),
        xy=(0.0 if left else 1.0, length),
        xycoords=("axes fraction", "data"),
        xytext=(6, 3) if left else (-6, -3),
        textcoords="offset points",
        horizontalalignment="left" if left else "right",
        verticalalignment="bottom" if left else "top",
        color=INK,
        fontsize="small",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays out, so that widths are known
    if text.get_window_extent().width > (room - 0.04) * ax.bbox.width:
        text.set_text("\n= ".join([*names, f"{length:,} tokens"]))


def _dress(ax: Axes, *, pairs: int, unit: str) -> None:
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high > 10 * low:  # else the steps between powers of ten are the only ones
        ax.minorticks_off()
    ax.set_xlim(-pairs / 64, pairs - 1 + pairs / 64)
    ax.set_xlabel("pair index")
    ax.set_ylabel(f"wavelength ({unit} per turn)")
    bare(ax)
