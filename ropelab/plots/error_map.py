"""A heat map of what rounding does to angles, position by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import bands
from ..bands.cosines import on_every_axis
from ..checks import check_rope
from ..rope import Rope
from .style import FAINT, axes_or_new, listed, scale_tokens

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["angle_errors"]

_LEAST = 1e-9  # radians; below it, and at 0, cells have the darkest tone


def angle_errors(
    rope: Rope,
    positions: ArrayLike,
    *,
    positions_in: DTypeLike = np.float32,
    frequencies_in: DTypeLike = np.float32,
    angles_in: DTypeLike = np.float32,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw how far each pair's angle is off at each position, as a map from dark to light.

    Cells whose angle a format does not hold are hatched.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    positions : array-like of int, shape (n,)
        Tokens, ascending; on a logarithmic axis if they span two powers of ten.
    positions_in, frequencies_in, angles_in : dtype-like, default float32
        Formats, as in `ropelab.bands.angle_errors`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. The scale of tones is put beside it.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, or the positions do not ascend.

    See Also
    --------
    ropelab.bands.angle_errors : The numbers.
    """
    from matplotlib.colors import LogNorm

    check_rope(rope)
    ax, given = axes_or_new(ax), listed(positions, "positions")
    if (np.diff(given) <= 0).any():
        msg = "positions: expected numbers that ascend, for an axis; got some that do not"
        raise ValueError(msg)
    errors = bands.angle_errors(
        rope,
        on_every_axis(rope, given),
        positions_in=positions_in,
        frequencies_in=frequencies_in,
        angles_in=angles_in,
        seq_len=seq_len,
    )
    shown = np.ma.masked_invalid(np.maximum(errors, _LEAST))
    ax.patch.set(hatch="////", edgecolor=FAINT)
    mesh = ax.pcolormesh(
        np.arange(errors.shape[1]),
        given,
        shown,
        shading="nearest",
        cmap="cividis",
        norm=LogNorm(vmin=_LEAST, vmax=np.pi),
        rasterized=True,
    )
    scale_tokens(ax, given, axis="y")
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(mesh, ax=ax)
    bar.set_label("error of the angle (radians)")
    ax.set_xlabel("pair index")
    ax.set_ylabel("position (tokens)")
    return ax
