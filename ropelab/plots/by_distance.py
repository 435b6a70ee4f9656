"""Curves over the distance between two tokens, or over the position of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from .. import bands
from ..bands.cosines import on_every_axis
from ..rope import Rope
from .style import (
    FAINT,
    INK,
    axes_or_new,
    bare,
    check_count,
    check_ropes,
    draw_curve,
    draw_dense,
    legend,
    listed,
    scale_tokens,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cosine_sums", "decay", "similarity"]


def cosine_sums(
    ropes: Mapping[str, Rope],
    distances: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw the mean cosine of the pairs by distance, and where it first falls below zero.

    Of more than 240 distances, neighbours are drawn as their mean, in a tint that spans them.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name; at most seven.
    distances : array-like of int, shape (n,)
        Tokens between query and key; on a logarithmic axis if they span two powers of ten. The
        crossing is looked for at every distance up to the last.
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
        If an argument has another type or shape.

    See Also
    --------
    ropelab.bands.cosine_sum : The numbers, times the number of pairs.
    ropelab.bands.first_breach : The crossing.
    """
    ax, given = axes_or_new(ax), listed(distances, "distances")
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        total = bands.cosine_sum(rope, on_every_axis(rope, given), seq_len=seq_len)
        pairs = rope.rotary_dim // 2
        limit = max(int(given.max()), 0) + 1
        breach = bands.first_breach(rope, limit, seq_len=seq_len)
        told = f"below 0 from {breach.distance:,}" if breach else f"never below 0 to {limit - 1:,}"
        draw_dense(ax, given, total / pairs, order, f"{name}: {told}")
        if breach:
            ax.plot(
                breach.distance,
                0.0,
                marker="|",
                markersize=13,
                color=INK,
                linestyle="none",
                zorder=5,
            )
    ax.axhline(0.0, color=FAINT, linewidth=0.9, zorder=0)
    scale_tokens(ax, given)
    ax.set_xlabel("distance (tokens)")
    ax.set_ylabel("mean cosine of the pairs")
    bare(ax)
    legend(ax)
    return ax


def decay(
    ropes: Mapping[str, Rope],
    distances: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw RoFormer's bound on a score by distance, the mean length of the partial sums.

    Of more than 240 distances, neighbours are drawn as their mean, in a tint that spans them.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name; at most seven.
    distances : array-like of int, shape (n,)
        Tokens between query and key; on a logarithmic axis if they span two powers of ten.
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
        If an argument has another type or shape.

    See Also
    --------
    ropelab.bands.decay_bound : The numbers.
    """
    ax, given = axes_or_new(ax), listed(distances, "distances")
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        bound = bands.decay_bound(rope, on_every_axis(rope, given), seq_len=seq_len)
        draw_dense(ax, given, bound, order, name)
    scale_tokens(ax, given)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("distance (tokens)")
    ax.set_ylabel("mean length of the partial sums (pairs)")
    bare(ax)
    legend(ax)
    return ax


def similarity(
    readings: Mapping[str, tuple[Rope, Rope]],
    positions: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw by position how similar one vector is to itself under two embeddings.

    Parameters
    ----------
    readings : mapping of str to (Rope, Rope)
        Pairs of embeddings by name, such as two implementations of one rule; at most seven.
    positions : array-like of int, shape (n,)
        Tokens; on a logarithmic axis if they span two powers of ten.
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
        If an argument has another type or shape.

    See Also
    --------
    ropelab.bands.similarity : The numbers.
    """
    ax, given = axes_or_new(ax), listed(positions, "positions")
    if not isinstance(readings, Mapping) or not all(
        isinstance(two, tuple) and len(two) == 2 for two in readings.values()
    ):
        msg = "readings: expected a mapping of names to pairs (Rope, Rope); got something else"
        raise TypeError(msg)
    check_count(readings, "readings")
    for order, (name, (a, b)) in enumerate(readings.items()):
        cosines = bands.similarity(a, b, on_every_axis(a, given), seq_len=seq_len)
        draw_curve(ax, given, cosines, order, name)
    scale_tokens(ax, given)
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]), top=1.05)
    ax.set_xlabel("position (tokens)")
    ax.set_ylabel("cosine similarity")
    bare(ax)
    legend(ax, loc="lower left")
    return ax
