"""Curves over the pairs: what rules do to wavelengths and frequencies, and turns in a length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import bands
from ..rope import Rope
from .style import FAINT, INK, STROKES, axes_or_new, bare, check_ropes, draw_curve, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["average_cosines", "frequency_ratios", "spectra", "stretches", "turns"]


def stretches(
    ropes: Mapping[str, Rope], *, ax: Axes | None = None, seq_len: int | None = None
) -> Axes:
    """Draw how many times longer each rule makes the wavelength of each pair.

    Pairs that a rule stops lie along the upper edge.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name, such as one model's with several rules; at most seven.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes.

    See Also
    --------
    ropelab.bands.stretches : The numbers.
    """
    ax = axes_or_new(ax)
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        _draw(ax, bands.stretches(rope, seq_len=seq_len), order, name, edge=0.98)
    ax.axhline(1.0, color=FAINT, linewidth=0.9, zorder=0)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("×{x:.4g}")
    return _dressed(ax, "wavelength (times the unscaled one)")


def frequency_ratios(
    ropes: Mapping[str, Rope], *, ax: Axes | None = None, seq_len: int | None = None
) -> Axes:
    """Draw the frequency of each pair as a share of the unscaled one: the ramp of each rule.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name, such as the functions that bear the name of YaRN; at most seven.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes.

    See Also
    --------
    ropelab.bands.stretches : One over the numbers.
    """
    ax = axes_or_new(ax)
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        _draw(ax, 1.0 / bands.stretches(rope, seq_len=seq_len), order, name, edge=0.02)
    ax.set_ylim(bottom=0.0)
    return _dressed(ax, "frequency (share of the unscaled one)")


def spectra(
    ropes: Mapping[str, Rope], *, ax: Axes | None = None, seq_len: int | None = None
) -> Axes:
    """Draw the frequency of each pair; those that stand still lie along the lower edge.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name, such as p-RoPE and HoPE beside the plain one; at most seven.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes.
    """
    ax = axes_or_new(ax)
    ax.set_yscale("log")
    ax.margins(y=0.18)  # room for rows of pairs that stand still
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        inv_freq = np.abs(rope.spectrum(seq_len).inv_freq)
        still = int((inv_freq == 0.0).sum())
        told = f"{name}: {still} of {inv_freq.size} stand still" if still else name
        _draw(ax, inv_freq, order, told, edge=0.02 + 0.025 * order)
    return _dressed(ax, "frequency (radians per token)")


def turns(
    ropes: Mapping[str, Rope],
    context_length: int,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw how many times each pair turns within a context.

    Below the line at one turn, a pair shows only part of its circle.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name; at most seven.
    context_length : int
        Length of the context in tokens; positive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes, or the length not positive.

    See Also
    --------
    ropelab.bands.turns_within : The numbers.
    """
    ax = axes_or_new(ax)
    ax.set_yscale("log")
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        values = bands.turns_within(rope, context_length, seq_len=seq_len)
        done = int(bands.completes_turn(rope, context_length, seq_len=seq_len).sum())
        _draw(ax, values, order, f"{name}: {done} of {values.size} turn once", edge=0.02)
    ax.axhline(1.0, color=INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    return _dressed(ax, f"turns within {context_length:,} tokens")


def average_cosines(
    ropes: Mapping[str, Rope],
    context_length: int,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw each pair's mean cosine over a context: 0 for one that tells distances, 1 for none.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name; at most seven.
    context_length : int
        Length of the context in tokens; positive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes, or the length not positive.

    See Also
    --------
    ropelab.bands.average_cosines : The numbers.
    """
    from matplotlib.ticker import FixedLocator

    ax = axes_or_new(ax)
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        means = bands.average_cosines(rope, context_length, seq_len=seq_len)
        draw_curve(
            ax, np.arange(means.size), means, order, f"{name}: {means.mean():.2f} on average"
        )
    ax.axhline(0.0, color=FAINT, linewidth=0.9, zorder=0)
    ax.set_ylim(top=1.1 + 0.1 * len(ropes))  # room for the legend: most curves end at 1
    ax.yaxis.set_major_locator(FixedLocator(np.linspace(-1.0, 1.0, 11).tolist()))
    return _dressed(ax, f"mean cosine within {context_length:,} tokens", loc="upper left")


def _draw(ax: Axes, values: NDArray[np.float64], order: int, name: str, *, edge: float) -> None:
    """Draw a curve, and along an edge the pairs whose value no logarithm shows."""
    shown = np.isfinite(values) & (values > 0.0)
    pairs = np.arange(values.size)
    draw_curve(ax, pairs, np.where(shown, values, np.nan), order, name)
    if shown.all():
        return
    stroke, style = STROKES[order], dict[str, Any](transform=ax.get_xaxis_transform())
    ax.plot(
        pairs[~shown],
        np.full(int((~shown).sum()), edge),
        linestyle="none",
        marker=stroke.marker,
        markersize=3.2,
        markeredgecolor=stroke.color,
        markerfacecolor=stroke.color if stroke.filled else "white",
        clip_on=False,
        **style,
    )


def _dressed(ax: Axes, label: str, *, loc: str = "best") -> Axes:
    ax.set_xlabel("pair index")
    ax.set_ylabel(label)
    bare(ax)
    legend(ax, loc=loc)
    return ax
