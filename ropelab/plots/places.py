"""Where tokens and pairs belong: position axes, vision grids, packs and their shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..positions import packed_positions, shard_tokens
from ..positions.packed import checked_cu_seqlens
from ..rope import Rope
from .style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    VERMILLION,
    axes_or_new,
    bare,
    check_names,
    check_ropes,
    draw_curve,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

__all__ = ["grid", "ownership", "position_axes", "token_positions"]

# By lightness and by hatching: dark, light, white, and two that are hatched.
_FILLS: tuple[dict[str, Any], ...] = (
    {"facecolor": BLUE},
    {"facecolor": ORANGE, "hatch": "..."},
    {"facecolor": "white", "hatch": "////"},
    {"facecolor": VERMILLION, "hatch": "xxx"},
)
_NUMBERED = 400  # more cells than these have no room for numbers


def position_axes(
    ropes: Mapping[str, Rope],
    *,
    names: Sequence[str] = ("axis 0", "axis 1", "axis 2", "axis 3"),
    ax: Axes | None = None,
) -> Axes:
    """Draw which position axis turns which pair, one strip a rope.

    Parameters
    ----------
    ropes : mapping of str to Rope
        Rotary embeddings by name, such as M-RoPE in each order of its sections; at most seven.
    names : sequence of str, optional
        What the axes are called, such as time, row and column.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ropes` is no mapping of a few names to ropes, or an axis has no name or no hatching.

    See Also
    --------
    ropelab.positions.mrope_axes : The axes of M-RoPE.
    """
    from matplotlib.patches import Patch

    given = check_ropes(ropes)
    check_names(names)
    spectra = {name: rope.spectrum() for name, rope in given.items()}
    count = max(spectrum.position_axes for spectrum in spectra.values())
    if count > min(len(names), len(_FILLS)):
        msg = f"names: expected {count} names of axes, at most {len(_FILLS)}; got {len(names)}"
        raise ValueError(msg)
    ax = axes_or_new(ax, height=1.2 + 0.55 * len(given))
    for row, spectrum in enumerate(spectra.values()):
        for axis in range(count):
            pairs = np.flatnonzero(np.asarray(spectrum.axes) == axis)
            if pairs.size:
                cells = [(pair - 0.5, 1.0) for pair in pairs.tolist()]
                style = {"edgecolor": INK, "linewidth": 0.5, **_FILLS[axis]}
                ax.broken_barh(cells, (row - 0.36, 0.72), **style)
    ax.set_yticks(range(len(given)), list(given))
    ax.invert_yaxis()
    ax.set_xlabel("pair index")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    handles = [Patch(edgecolor=INK, label=names[k], **_FILLS[k]) for k in range(count)]
    ax.legend(
        handles=handles, frameon=False, ncols=count, loc="lower left", bbox_to_anchor=(0.0, 1.0)
    )
    return ax


def token_positions(
    position_ids: ArrayLike,
    *,
    names: Sequence[str] = ("time", "row", "column"),
    ax: Axes | None = None,
) -> Axes:
    """Draw the position of each token on every axis, in the order of the sequence.

    Parameters
    ----------
    position_ids : array-like of int, shape (axes, tokens)
        Positions, as `ropelab.positions.mrope_positions` gives them.
    names : sequence of str, optional
        What the axes are called.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If the positions have another type or shape, or an axis has no name.
    """
    check_names(names)
    given = _by_axis(position_ids, "(axes, tokens)", range(1, len(names) + 1))
    ax = axes_or_new(ax)
    tokens = np.arange(given.shape[1])
    for order, (name, positions) in enumerate(zip(names, given, strict=False)):
        draw_curve(ax, tokens, positions, order, name, marks=24)
    _count_in_integers(ax)
    ax.set_xlabel("token index")
    ax.set_ylabel("position")
    bare(ax)
    ax.legend(frameon=False, handlelength=3.2)
    return ax


def grid(position_ids: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw a vision grid: each patch at its row and column, numbered in the order of tokens.

    Parameters
    ----------
    position_ids : array-like of int, shape (2, tokens)
        Rows, then columns, as `ropelab.positions.image_grid` gives them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If the positions have another type or shape.
    """
    rows, columns = _by_axis(position_ids, "(2, tokens)", (2,))
    ax = axes_or_new(ax)
    ax.plot(columns, rows, color=BLUE, linewidth=1.0, zorder=1)
    few = rows.size <= _NUMBERED
    size = 220 if few else 4
    ax.scatter(columns, rows, s=size, facecolor="white", edgecolor=FAINT, zorder=2)
    for token, place in enumerate(zip(columns.tolist(), rows.tolist(), strict=True)):
        if few:
            ax.annotate(str(token), place, ha="center", va="center", fontsize="x-small", color=INK)
    _count_in_integers(ax)
    ax.set_aspect("equal")
    ax.margins(0.08)
    ax.invert_yaxis()
    ax.set_xlabel("column position (patches)")
    ax.set_ylabel("row position (patches)")
    bare(ax)
    return ax


def ownership(
    cu_seqlens: ArrayLike, cp_size: int, *, shards: str = "zigzag", ax: Axes | None = None
) -> Axes:
    """Draw which rank of a context-parallel group holds which tokens, and their positions.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        Cumulative lengths of a pack.
    cp_size : int
        Number of ranks; 1 shows the pack alone.
    shards : {"zigzag", "contiguous"}, default "zigzag"
        How a sequence is divided.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        As `ropelab.positions.shard_tokens` does.

    See Also
    --------
    ropelab.positions.shard_positions : The numbers in the bars.
    """
    held = [shard_tokens(cu_seqlens, cp_size, 0, shards=shards)]
    held += [shard_tokens(cu_seqlens, cp_size, rank, shards=shards) for rank in range(1, cp_size)]
    bounds, positions = checked_cu_seqlens(cu_seqlens), packed_positions(cu_seqlens)
    ax = axes_or_new(ax, height=1.4 + 0.6 * cp_size)
    labels = []
    for rank, tokens in enumerate(held):
        for run in _runs(tokens, bounds):
            first, last = int(run[0]), int(run[-1])
            style = {"edgecolor": INK, "linewidth": 0.8, **_FILLS[rank % 2]}
            ax.broken_barh([(first, last - first + 1)], (rank - 0.36, 0.72), **style)
            ends = dict.fromkeys((int(positions[first]), int(positions[last])))
            labels.append((first, last + 1, _write(ax, first, last + 1, rank, ends)))
    for sequence, (first, last) in enumerate(pairwise(bounds.tolist())):
        ax.axvline(last, color=FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
        if last > first:
            place = ((first + last) / 2, 1.0)
            edge = ax.get_xaxis_transform()
            ax.annotate(f"sequence {sequence}", place, xycoords=edge, ha="center", va="bottom")
    ax.set_yticks(range(len(held)), [f"rank {rank}" for rank in range(len(held))])
    ax.invert_yaxis()
    ax.set_xlim(0, max(int(bounds[-1]), 1))
    _turn_where_narrow(ax, labels)
    ax.set_xlabel("token index in the pack (numbers in the bars: positions)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    return ax


def _count_in_integers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _runs(tokens: NDArray[np.int64], bounds: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split tokens where they are not neighbours, and where a sequence begins."""
    breaks = (np.diff(tokens) != 1) | np.isin(tokens[1:], bounds)
    return [run for run in np.split(tokens, np.flatnonzero(breaks) + 1) if run.size]


def _write(ax: Axes, first: int, last: int, row: int, ends: Iterable[int]) -> Text:
    return ax.annotate(
        "–".join(map(str, ends)),
        ((first + last) / 2, row),
        ha="center",
        va="center",
        fontsize="small",
        color=INK,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"},
    )


def _turn_where_narrow(ax: Axes, labels: Iterable[tuple[int, int, Text]]) -> None:
    """Turn each text by a quarter that is wider than its bar."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays out, so that widths are known
    for first, last, text in labels:
        (left, _), (right, _) = ax.transData.transform([(first, 0), (last, 0)])
        if text.get_window_extent().width > right - left:
            text.set(rotation="vertical", fontsize="x-small")


def _by_axis(position_ids: ArrayLike, expected: str, axes: Sequence[int]) -> NDArray[np.int64]:
    given = as_integers(position_ids, "position_ids")
    if given.ndim != 2 or given.shape[0] not in axes or not given.size:
        msg = f"position_ids: expected shape {expected}; got {given.shape}"
        raise ValueError(msg)
    return given.astype(np.int64)
