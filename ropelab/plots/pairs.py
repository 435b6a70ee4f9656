"""What a pair is: two channels of a head, and a vector that turns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..bands.cosines import on_every_axis
from ..checks import check_choice, check_rope, integer, positive_int
from ..layouts import pair_channels
from ..phases import cos_sin_values
from ..rope import Rope
from .style import BLUE, FAINT, INK, ORANGE, axes_or_new, check_names, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["layouts", "rotations"]

_APART = 0.17  # between two numbers that do not touch, of a radius
_WIDEST = 32  # channels that have room for theirs


def rotations(
    rope: Rope,
    pair: int,
    positions: ArrayLike,
    *,
    ax: Axes | None = None,
    seq_len: int | None = None,
) -> Axes:
    """Draw where a pair's first channel, as the vector (1, 0), is turned to at each position.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    pair : int
        Index of the pair.
    positions : array-like of int, shape (n,)
        Tokens; numbered, but where numbers would touch.
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
        If an argument has another type, or the rope has no such pair.

    See Also
    --------
    ropelab.cos_sin : The numbers.
    """
    check_rope(rope)
    ax, given, index = axes_or_new(ax), listed(positions, "positions"), integer(pair, "pair")
    spectrum = rope.spectrum(seq_len)
    if not 0 <= index < rope.rotary_dim // 2:
        msg = f"pair: expected 0 to {rope.rotary_dim // 2 - 1}; got {index}"
        raise ValueError(msg)
    cos, sin = cos_sin_values(on_every_axis(rope, given), spectrum, "exact")
    x, y = (side[:, index] / spectrum.attention_factor for side in (cos, sin))
    circle = np.linspace(0.0, 2.0 * np.pi, 181)
    ax.plot(np.cos(circle), np.sin(circle), color=FAINT, linewidth=0.9, zorder=0)
    origin = np.zeros_like(x)
    ax.plot(np.stack([origin, x]), np.stack([origin, y]), color=BLUE, linewidth=0.7, alpha=0.5)
    ax.plot(x, y, linestyle="none", marker="o", markersize=4.6, color=BLUE)
    numbered: list[tuple[float, float]] = []
    for position, *place in zip(given.tolist(), 1.14 * x, 1.14 * y, strict=True):
        if all(math.dist(place, other) > _APART for other in numbered):
            numbered.append((place[0], place[1]))
            ax.annotate(
                f"{position:,}", numbered[-1], ha="center", va="center", fontsize="small", color=INK
            )
    wavelength = float(spectrum.wavelengths[index])
    ax.set_title(f"pair {index}: a turn in {wavelength:,.4g} tokens", fontsize="medium")
    ax.set_aspect("equal")
    ax.set_xlim(-1.28, 1.28)
    ax.set_ylim(-1.28, 1.28)
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])
    ax.set_xlabel("first channel (of a unit vector)")
    ax.set_ylabel("second channel (of a unit vector)")
    return ax


def layouts(
    rotary_dim: int,
    *,
    names: tuple[str, ...] = ("half", "interleaved"),
    ax: Axes | None = None,
) -> Axes:
    """Draw which channels form which pair, one strip a layout.

    Parameters
    ----------
    rotary_dim : int
        Rotated channels d; even, at most 32.
    names : tuple of str, default ("half", "interleaved")
        The layouts.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If the number of channels is odd or too large to be told apart, or a layout is unknown.

    See Also
    --------
    ropelab.permute_qk_weight : The permutation from one to the other, of weights.
    """
    from matplotlib.patches import Patch

    d = positive_int(rotary_dim, "rotary_dim", even=True)
    if d > _WIDEST:
        msg = f"rotary_dim: expected at most {_WIDEST}, whose numbers can be read; got {d}"
        raise ValueError(msg)
    check_names(names)
    for name in names:
        check_choice(name, ("half", "interleaved"), "names")
    ax = axes_or_new(ax, height=1.3 + 0.6 * len(names))
    fills = {"first channel": "white", "second channel": ORANGE}
    for row, name in enumerate(names):
        for slots, fill in zip(pair_channels(name, d), fills.values(), strict=True):
            for pair, channel in enumerate(range(d)[slots]):
                cell = [(channel - 0.5, 1.0)]
                ax.broken_barh(
                    cell, (row - 0.36, 0.72), facecolor=fill, edgecolor=INK, linewidth=0.7
                )
                ax.annotate(str(pair), (channel, row), ha="center", va="center", color=INK)
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(range(d))
    ax.invert_yaxis()
    ax.set_xlabel("channel (numbers in the cells: pairs)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    handles = [
        Patch(facecolor=fill, edgecolor=INK, label=f"{who} of a pair")
        for who, fill in fills.items()
    ]
    ax.legend(handles=handles, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax
