"""The figures of the guide: what a rotation does, and what formats do to it.

Hues are those of Okabe and Ito, as in `ropelab.plots`; what differs in hue differs in shape too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc
from numpy.typing import NDArray

import ropelab
from ropelab.plots.style import BLUE, FAINT, INK, ORANGE, VERMILLION
from ropelab.precision import float_dtype, narrow, widen

__all__ = ["FIGURES"]

STYLES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-"},
    {"color": VERMILLION, "linestyle": (0, (5, 2))},
    {"color": ORANGE, "linestyle": (0, (1, 1.2)), "linewidth": 2.2},
    {"color": INK, "linestyle": (0, (6, 2, 1, 2))},
)

RADIANS = 0.35
"""What the pair of the first figure turns by each token."""


def one_pair() -> Figure:
    """Draw a query and a key, three tokens apart, at two places of a text."""
    figure = Figure(figsize=(7.6, 3.7), layout="constrained")
    for ax, start in zip(figure.subplots(1, 2), (0, 4), strict=True):
        _turned(ax, "k", start, BLUE)
        _turned(ax, "q", start + 3, VERMILLION)
        first, last = (np.degrees(_angle(m)) for m in (start, start + 3))
        ax.add_patch(Arc((0, 0), 0.9, 0.9, theta1=first, theta2=last, color=INK, linewidth=1.2))
        middle = np.radians((first + last) / 2)
        x, y = (0.58 * _unit(middle)).tolist()
        ax.text(x, y, "3ω", ha="center", va="center", color=INK)
        ax.set_title(f"key at {start}, query at {start + 3}")
        ax.set(xlim=(-1.25, 1.35), ylim=(-0.3, 1.3), aspect="equal", xlabel="channel x of the pair")
        ax.axhline(0, color=FAINT, linewidth=0.7, zorder=0)
        ax.axvline(0, color=FAINT, linewidth=0.7, zorder=0)
        ax.set(xticks=[-1, 0, 1], yticks=[0, 1])
        ax.spines[:].set_visible(False)
    figure.axes[0].set_ylabel("channel y of the pair")
    return figure


def _angle(position: int) -> float:
    return 0.25 + RADIANS * position


def _unit(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])


def _turned(ax: Axes, name: str, position: int, colour: str) -> None:
    end = _unit(_angle(position))
    ax.annotate(
        "",
        xy=tuple(end),
        xytext=(0, 0),
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "linewidth": 2,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    x, y = (1.13 * end).tolist()
    ax.text(x, y, name, ha="center", va="center", color=colour, fontsize=13)


def three_pairs() -> Figure:
    """Draw what three pairs contribute to a score, over the distance."""
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    spectrum = ropelab.Rope(128).spectrum()
    panels = figure.subplots(3, 1, sharey=True)
    for ax, pair, reach, style in zip(panels, (0, 28, 63), (64, 4096, 4096), STYLES, strict=False):
        distance = np.linspace(0, reach, 2001)
        ax.plot(distance, np.cos(distance * spectrum.inv_freq[pair]), **style)
        if pair == 0:
            tokens = np.arange(reach + 1)
            ax.plot(tokens, np.cos(tokens), ".", color=INK, markersize=4)
        length = spectrum.wavelengths[pair]
        told = f"{length:.3g}" if length < 100 else f"{length:,.0f}"
        ax.set_title(f"pair {pair}: a turn in {told} tokens", loc="left")
        ax.set(xlim=(0, reach), yticks=[-1, 0, 1], ylabel="cos(mω)")
        ax.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("distance m (tokens)")
    return figure


def cosine_sum() -> Figure:
    """Draw the score of two vectors whose pairs agree, for two bases."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    ax = figure.subplots()
    distance = np.unique(np.geomspace(1, 131_072, 6000).round())
    for base, colour in ((10_000.0, BLUE), (500_000.0, ORANGE)):
        inv_freq = ropelab.Rope(128, base=base).spectrum().inv_freq
        total = np.cos(distance[:, np.newaxis] * inv_freq).sum(axis=1)
        ax.plot(distance, total, color=colour, linewidth=1.1, label=f"base {base:,.0f}")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xscale("log")
    ax.set(xlim=(1, 131_072), xlabel="distance m (tokens)", ylabel="sum of cos(mω) over 64 pairs")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return figure


def layouts() -> Figure:
    """Draw which channels of a head of eight are pairs, in both layouts."""
    figure = Figure(figsize=(7.6, 2.5), layout="constrained")
    pairs = {
        "half": [(i, i + 4) for i in range(4)],
        "interleaved": [(2 * i, 2 * i + 1) for i in range(4)],
    }
    marks = ("o", "s", "D", "^")
    hues = (BLUE, VERMILLION, ORANGE, INK)
    for ax, (name, channels) in zip(figure.subplots(1, 2), pairs.items(), strict=True):
        for number, (x, y) in enumerate(channels):
            height = 0.35 + 0.28 * (number if name == "half" else 0)
            bow = [(x, 0.12), (x, height), (y, height), (y, 0.12)]
            ax.plot(*zip(*bow, strict=True), color=hues[number], linewidth=1.6)
            ax.plot([x, y], [0, 0], marks[number], color=hues[number], markersize=11, linestyle="")
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            ax.text(
                (x + y) / 2,
                height,
                f"pair {number}",
                ha="center",
                va="center",
                fontsize=9,
                bbox=paper,
            )
        ax.set(xlim=(-0.6, 7.6), ylim=(-0.25, 1.5), yticks=[], xticks=range(8), title=name)
        ax.set_xlabel("channel")
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    return figure


Rounding = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]


def _rounded(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    return widen(narrow(np.asarray(values, np.float64), float_dtype(name)))


def _product(ids: NDArray[np.int64], inv_freq: NDArray[np.float64]) -> NDArray[np.float64]:
    return ids.astype(np.float64)[:, np.newaxis] * inv_freq


KEPT: Mapping[str, Rounding] = {
    "positions in bfloat16": lambda m, w: _rounded(m, "bfloat16")[:, np.newaxis] * w,
    "frequencies in bfloat16": lambda m, w: _product(m, _rounded(w, "bfloat16")),
    'float32 throughout, angles="float32"': lambda m, w: _rounded(
        _product(m, _rounded(w, "float32")), "float32"
    ),
}
"""What is kept in a narrow format, and the angles that come of it."""


def angle_errors() -> Figure:
    """Draw the largest error of an angle over the position."""
    figure = Figure(figsize=(7.6, 3.9), layout="constrained")
    ax = figure.subplots()
    inv_freq = ropelab.Rope(128).spectrum().inv_freq
    ids = np.unique(np.geomspace(1, 131_071, 400).round().astype(np.int64) | 1)
    right = _product(ids, inv_freq)
    for (name, angles), style in zip(KEPT.items(), STYLES, strict=False):
        error = np.abs(angles(ids, inv_freq) - right).max(axis=1)
        # Between powers of two errors rise and fall; what matters is how large they have been.
        ax.plot(ids, np.maximum.accumulate(error), label=name, **style)
    ax.plot(ids, ids * 2.0**-65 * 2 * np.pi, label='bound of angles="exact"', **STYLES[3])
    ax.axhline(np.pi, color=FAINT, linewidth=0.9, zorder=0)
    ax.text(1.1, np.pi * 1.6, "half a turn: nothing is left", color=INK, fontsize="small")
    ax.set(xscale="log", yscale="log", xlim=(1, 131_071), ylim=(1e-19, 3e4))
    ax.set(xlabel="position (tokens)", ylabel="largest error so far (radians)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(0.0, 0.34), fontsize="small")
    return figure


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "one-pair.png": one_pair,
    "three-pairs.png": three_pairs,
    "cosine-sum.png": cosine_sum,
    "layouts.png": layouts,
    "angle-errors.png": angle_errors,
}
"""Every figure by its file."""
