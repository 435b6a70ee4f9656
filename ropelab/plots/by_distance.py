"""Curves over the distance between two tokens, or over the position of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from .. import bands
from ..bands.cosines import on_every_axis
from ..checks import check_rope
from ..rope import Rope
from .style import (
    FAINT,
    INK,
    axes_or_new,
    bare,
    check_count,
    check_ropes,
    draw_dense,
    legend,
    listed,
    scale_tokens,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cosine_sums", "decay", "scores", "similarity"]


def cosine_sums(
    ropes: Mapping[str, Rope],
    distances: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw the mean cosine of a head by distance, and where it first falls below zero.

    Pairs of channels that are not rotated count as cosines of 1.

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
    ropelab.bands.cosine_sum : The numbers, times half the channels of the head.
    ropelab.bands.first_breach : The crossing.
    """
    ax, given = axes_or_new(ax), listed(distances, "distances")
    for order, (name, rope) in enumerate(check_ropes(ropes).items()):
        total = bands.cosine_sum(rope, on_every_axis(rope, given), seq_len=seq_len)
        limit = max(int(given.max()), 0) + 1
        breach = bands.first_breach(rope, limit, seq_len=seq_len)
        told = f"below 0 from {breach.distance:,}" if breach else f"never below 0 to {limit - 1:,}"
        draw_dense(ax, given, total / (rope.head_dim / 2), order, f"{name}: {told}")
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


def scores(
    rope: Rope,
    keys: Mapping[str, tuple[ArrayLike | None, ArrayLike | None]],
    distances: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw the score of a query with each of several keys, by their distance.

    Of more than 240 distances, neighbours are drawn as their mean, in a tint that spans them.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    keys : mapping of str to (amplitudes, phases)
        What each key makes with the query, of shape (d/2,), as `ropelab.bands.pair_products` gives
        it; None for amplitudes of 1 or phases of 0. At most seven.
    distances : array-like of int, shape (n,)
        Tokens between query and key; on a logarithmic axis if they span two powers of ten.
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
        If an argument has another type or shape.

    See Also
    --------
    ropelab.bands.score : The numbers.
    """
    check_rope(rope)
    ax, given = axes_or_new(ax), listed(distances, "distances")
    places = on_every_axis(rope, given)
    for order, (name, two) in enumerate(_pairs(keys, "keys", "amplitudes and phases").items()):
        values = bands.score(rope, places, amplitudes=two[0], phases=two[1], seq_len=seq_len)
        draw_dense(ax, given, values, order, name)
    ax.axhline(0.0, color=FAINT, linewidth=0.9, zorder=0)
    scale_tokens(ax, given)
    ax.set_xlabel("distance (tokens)")
    ax.set_ylabel("score (before the softmax scale)")
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

    Of more than 240 positions, neighbours are drawn as their mean, in a tint that spans them.

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
    for order, (name, (a, b)) in enumerate(_pairs(readings, "readings", "two Ropes").items()):
        cosines = bands.similarity(a, b, on_every_axis(a, given), seq_len=seq_len)
        draw_dense(ax, given, cosines, order, name)
    scale_tokens(ax, given)
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]), top=1.05)
    ax.set_xlabel("position (tokens)")
    ax.set_ylabel("cosine similarity")
    bare(ax)
    legend(ax, loc="lower left")
    return ax


def _pairs(given: Any, name: str, what: str) -> Mapping[str, tuple[Any, Any]]:
    named = isinstance(given, Mapping)
    if not named or not all(isinstance(two, tuple) and len(two) == 2 for two in given.values()):
        kind = type(given).__name__
        msg = f"{name}: expected a mapping of names to {what}, a tuple; got {kind} of others"
        raise TypeError(msg)
    check_count(given, name)
    checked: Mapping[str, tuple[Any, Any]] = given
    return checked
