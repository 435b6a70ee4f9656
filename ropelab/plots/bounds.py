"""What bases and lengths ask of each other: base bound, critical dimension, critical base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import bands
from ..arrays import as_reals
from ..checks import positive_int
from ..rope import Rope
from .style import (
    BLUE,
    DISK,
    FAINT,
    INK,
    SQUARE,
    VERMILLION,
    axes_or_new,
    bare,
    check_count,
    draw_curve,
    legend,
    listed,
    token_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["base_bound", "critical_bases", "critical_dimensions", "effective_contexts"]

_BASES = tuple(np.geomspace(1e3, 1e7, 33).tolist())
_LENGTHS = tuple(1024 * 2**k for k in range(6))


def base_bound(
    context_lengths: Sequence[int] = _LENGTHS,
    *,
    bases: ArrayLike | None = None,
    rotary_dim: int = 128,
    step: float = 1e-4,
    ax: Axes | None = None,
) -> Axes:
    """Draw the smallest base that bears a context, by its length, beside what was published.

    Parameters
    ----------
    context_lengths : sequence of int, default 1k to 32k
        Lengths in tokens; two or more.
    bases : array-like of float, shape of `context_lengths`, optional
        The smallest base of each, if they are at hand; by default they are searched for.
    rotary_dim : int, default 128
        Rotated channels, which the published bases have 128 of.
    step : float, default 1e-4
        Of the search; ten times as large it takes a tenth of the time, and may miss a window.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    See Also
    --------
    ropelab.bands.smallest_base : The search, which needs the more time the longer the context.
    """
    ax, lengths = axes_or_new(ax), listed(context_lengths, "context_lengths")
    if bases is None:
        bases = [bands.smallest_base(n, rotary_dim=rotary_dim, step=step) for n in lengths.tolist()]
    found = as_reals(bases, "bases")
    if found.shape != lengths.shape:
        msg = f"bases: expected one for each of {lengths.size} lengths; got shape {found.shape}"
        raise ValueError(msg)
    first, last = int(lengths.min()), int(lengths.max())
    printed = [row for row in bands.PUBLISHED_BASES if first <= row.context_length <= last]
    if printed:
        x = [row.context_length for row in printed]
        paper, su = [row.paper for row in printed], [row.su for row in printed]
        open_marks: dict[str, Any] = {
            "linestyle": "none",
            "markersize": 9,
            "markerfacecolor": "none",
        }
        ax.plot(x, paper, marker="s", markeredgecolor=VERMILLION, label="Men et al.", **open_marks)
        ax.plot(x, su, marker="x", markeredgecolor=INK, label="Su", **open_marks)
    ax.plot(
        lengths,
        found,
        linestyle="none",
        marker=DISK.shape,
        markersize=4.6,
        color=BLUE,
        label=f"found here, {rotary_dim} channels",
    )
    curve = np.unique(np.geomspace(first, last, 50).astype(np.int64)).tolist()
    fitted, limit = ([law(n) for n in curve] for law in (bands.fitted_base, bands.asymptotic_base))
    ax.plot(curve, fitted, color=FAINT, linewidth=1.0, label="0.0424 $L^{1.628}$")
    ax.plot(
        curve, limit, color=INK, linewidth=1.0, linestyle=":", label="for infinitely many pairs"
    )
    ax.set_yscale("log")
    token_ticks(ax, lengths.tolist())
    ax.set_xlabel("context length (tokens)")
    ax.set_ylabel("smallest base")
    bare(ax)
    legend(ax)
    return ax


def effective_contexts(
    bases: ArrayLike, limit: int, *, rotary_dim: int = 128, ax: Axes | None = None
) -> Axes:
    """Draw the context that each base bears: it leaps up and down as the base grows.

    Parameters
    ----------
    bases : array-like of float, shape (n,)
        Bases, without scaling; a few hundred take seconds.
    limit : int
        Longest context asked about, in tokens.
    rotary_dim : int, default 128
        Rotated channels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    See Also
    --------
    ropelab.bands.effective_context : The numbers.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    ax, given = axes_or_new(ax), as_reals(bases, "bases")
    if given.ndim != 1 or given.size < 2:
        msg = f"bases: expected two numbers or more along one axis; got shape {given.shape}"
        raise ValueError(msg)
    limit = positive_int(limit, "limit")
    borne = np.array(
        [bands.effective_context(Rope(rotary_dim, base=base), limit) for base in given.tolist()]
    )
    whole = borne == limit
    ax.plot(
        given[~whole],
        borne[~whole],
        linestyle="none",
        marker="o",
        markersize=2.6,
        color=BLUE,
        label="breaks at",
    )
    ax.plot(
        given[whole],
        borne[whole],
        linestyle="none",
        marker=SQUARE.shape,
        markersize=4.0,
        markeredgecolor=SQUARE.edge,
        markerfacecolor=SQUARE.face,
        label=f"bears all {limit:,} tokens",
    )
    ax.set_xscale("log")
    if given.max() < 100 * given.min():  # too few powers of ten
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("base")
    ax.set_ylabel("effective context (tokens)")
    bare(ax)
    legend(ax)
    return ax


def critical_dimensions(
    trained_lengths: Sequence[int],
    *,
    bases: ArrayLike = _BASES,
    rotary_dim: int = 128,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many channels turn once in training, by base, for several lengths.

    Parameters
    ----------
    trained_lengths : sequence of int
        Lengths of the training context, in tokens; at most seven.
    bases : array-like of float, shape (n,), optional
        Bases; by default 1e3 to 1e7.
    rotary_dim : int, default 128
        Rotated channels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    See Also
    --------
    ropelab.bands.critical_dimension : The numbers.
    """
    ax, given = axes_or_new(ax), np.atleast_1d(as_reals(bases, "bases"))
    check_count(trained_lengths, "trained_lengths")
    ropes = [Rope(rotary_dim, base=base) for base in given.tolist()]
    for order, length in enumerate(trained_lengths):
        counts = [bands.critical_dimension(rope, length) for rope in ropes]
        draw_curve(ax, given, counts, order, f"trained at {length:,} tokens")
    ax.axhline(rotary_dim, color=FAINT, linewidth=0.9, zorder=0)
    ax.set_xscale("log")
    ax.set_ylim(0, rotary_dim * 1.04)
    ax.set_xlabel("base")
    ax.set_ylabel("critical dimension (channels)")
    bare(ax)
    legend(ax, loc="lower left")
    return ax


def critical_bases(
    base: float, trained_length: int, context_lengths: Sequence[int], *, ax: Axes | None = None
) -> Axes:
    """Draw the critical base by the context that is wanted, beside the base bound of each.

    Parameters
    ----------
    base : float
        Base of the training; above 1.
    trained_length : int
        Length of the training context, in tokens.
    context_lengths : sequence of int
        Lengths wanted, in tokens; two or more.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    See Also
    --------
    ropelab.bands.critical_base : The numbers.
    """
    ax, lengths = axes_or_new(ax), listed(context_lengths, "context_lengths")
    wanted = [bands.critical_base(base, trained_length, n) for n in lengths.tolist()]
    name = f"critical base of {base:,.0f} at {trained_length:,} tokens"
    draw_curve(ax, lengths, wanted, 0, name, marks=lengths.size)
    bounds = [bands.fitted_base(n) for n in lengths.tolist()]
    draw_curve(ax, lengths, bounds, 1, "base bound, by its fitted law", marks=lengths.size)
    ax.set_yscale("log")
    token_ticks(ax, lengths.tolist())
    ax.set_xlabel("context length wanted (tokens)")
    ax.set_ylabel("base")
    bare(ax)
    legend(ax)
    return ax
