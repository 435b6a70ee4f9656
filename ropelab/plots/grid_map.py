"""A map of how well two patches of an image agree, by the rows and columns between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import bands
from ..checks import check_rope, positive_int
from ..rope import Rope
from .style import INK, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["grid_cosines"]


def grid_cosines(
    rope: Rope, reach: int, *, ax: Axes | None = None, seq_len: int | None = None
) -> Axes:
    """Draw the mean cosine of a head by row and column between two patches, dark to light.

    Pairs of channels that are not rotated count as cosines of 1. Lines run along 0: what is darker
    than they is pushed away rather than attracted.

    Parameters
    ----------
    rope : Rope
        A rotary embedding with two position axes, row and column.
    reach : int
        How far the map goes up, down, left and right, in patches; positive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. The scale of tones is put beside it.
    seq_len : int, optional
        Length of the sequence in patches, for a rule that depends on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the rope another number of axes.

    See Also
    --------
    ropelab.bands.cosine_sum : The numbers, times half the channels of the head.
    """
    from matplotlib.colors import Normalize

    check_rope(rope)
    side = positive_int(reach, "reach")
    axes = rope.spectrum(seq_len).position_axes
    if axes != 2:
        msg = f"rope: expected two position axes, row and column; got {axes}"
        raise ValueError(msg)
    steps = np.arange(-side, side + 1)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"))
    means = bands.cosine_sum(rope, offsets, seq_len=seq_len) / (rope.head_dim / 2)
    ax = axes_or_new(ax)
    tones = Normalize(vmin=float(means.min()), vmax=1.0)
    mesh = ax.pcolormesh(
        steps, steps, means, shading="nearest", cmap="cividis", norm=tones, rasterized=True
    )
    if means.min() < 0.0:
        ax.contour(steps, steps, means, levels=[0.0], colors="white", linewidths=0.8)
    ax.plot(0, 0, marker="+", color=INK, markersize=9)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(mesh, ax=ax).set_label("mean cosine of the pairs")
    ax.set_xlabel("columns between (patches)")
    ax.set_ylabel("rows between (patches)")
    return ax
