"""What the pictures share: hues, markers, strokes, and the axes that they are drawn into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..checks import check_rope
from ..rope import Rope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "DIAMOND",
    "DISK",
    "FAINT",
    "INK",
    "ORANGE",
    "SQUARE",
    "STROKES",
    "TRIANGLE",
    "VERMILLION",
    "Marker",
    "Stroke",
    "axes_or_new",
    "bare",
    "check_count",
    "check_names",
    "check_ropes",
    "draw_curve",
    "draw_dense",
    "legend",
    "listed",
    "scale_tokens",
    "token_ticks",
]

INK = "#333333"
FAINT = "#8c8c8c"
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
_GREEN, _SKY, _PURPLE = "#009E73", "#56B4E9", "#CC79A7"


class Marker(NamedTuple):
    """A shape, its outline and its filling."""

    shape: str
    edge: str
    face: str


DISK = Marker("o", edge=BLUE, face=BLUE)
DIAMOND = Marker("D", edge=ORANGE, face=ORANGE)
SQUARE = Marker("s", edge=VERMILLION, face="white")
TRIANGLE = Marker("^", edge=VERMILLION, face="white")


class Stroke(NamedTuple):
    """How a curve is drawn, so that no two look alike without their hues."""

    color: str
    dashes: Any
    marker: str
    filled: bool


STROKES = (
    Stroke(BLUE, "-", "o", filled=True),
    Stroke(VERMILLION, (0, (5, 2)), "s", filled=False),
    Stroke(_GREEN, (0, (1, 1.2)), "^", filled=True),
    Stroke(INK, (0, (6, 2, 1, 2)), "x", filled=False),
    Stroke(ORANGE, (0, (3, 1)), "D", filled=True),
    Stroke(_PURPLE, (0, (8, 2, 1, 1, 1, 2)), "v", filled=False),
    Stroke(_SKY, (0, (2, 2)), "P", filled=True),
)
_MARKS = 9  # on a curve of many points
_BINS = 120


def axes_or_new(ax: object, *, height: float = 4.4) -> Axes:
    """Return the axes given, or those of a new figure; raise TypeError if they are none."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        kind = type(ax).__name__
        msg = f"ax: expected matplotlib Axes or None; got {kind}; plt.subplots() makes some"
        raise TypeError(msg)

    _, new = plt.subplots(figsize=(7.2, height), layout="constrained")
    return new


def bare(ax: Axes) -> None:
    """Take off the frame where nothing is read."""
    ax.spines[["top", "right"]].set_visible(False)


def check_ropes(ropes: object, name: str = "ropes") -> Mapping[str, Rope]:
    """Return a mapping of names to ropes, or raise; at most as many as there are strokes."""
    if not isinstance(ropes, Mapping):
        msg = (
            f"{name}: expected a mapping of names to Ropes; got {type(ropes).__name__}; "
            f'name each, as in {{"Llama-2": rope}}'
        )
        raise TypeError(msg)
    check_count(ropes, name)
    for rope in ropes.values():
        check_rope(rope)
    return ropes


def check_count(given: Any, name: str) -> None:
    """Raise unless there are some, and no more than can be told apart."""
    if not isinstance(given, (Mapping, Sequence)) and np.ndim(given) == 0:
        kind = type(given).__name__
        msg = (
            f"{name}: expected 1 to {len(STROKES)} of them in a list; got {given!r} of type {kind}"
        )
        raise TypeError(msg)
    if not 0 < len(given) <= len(STROKES):
        msg = f"{name}: expected 1 to {len(STROKES)}, which can be told apart; got {len(given)}"
        raise ValueError(msg)


def check_names(names: object) -> None:
    """Raise TypeError unless these are names in a list."""
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        kind = type(names).__name__
        msg = f"names: expected names in a list or tuple; got {names!r} of type {kind}"
        raise TypeError(msg)


def listed(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return at least two integers along one axis, or raise."""
    given = as_integers(values, name)
    if given.ndim != 1 or given.size < 2:
        msg = f"{name}: expected two integers or more along one axis; got shape {given.shape}"
        raise ValueError(msg)
    return given.astype(np.int64)


def draw_curve(
    ax: Axes, x: ArrayLike, y: ArrayLike, order: int, label: str, *, marks: int = _MARKS
) -> None:
    """Draw one curve of several, with a few markers, elsewhere than those of the others."""
    stroke, count = STROKES[order], np.size(x)
    step = max(count // marks, 1)
    ax.plot(
        x,
        y,
        color=stroke.color,
        linestyle=stroke.dashes,
        linewidth=1.4,
        marker=stroke.marker,
        markersize=4.6,
        markeredgecolor=stroke.color,
        markerfacecolor=stroke.color if stroke.filled else "white",
        markevery=(order * step // len(STROKES) % step, step),
        label=label,
    )


def draw_dense(ax: Axes, x: NDArray[Any], y: NDArray[np.float64], order: int, label: str) -> None:
    """Draw a curve; one of many points, which may leap, as means of neighbours in their range."""
    if x.size <= 2 * _BINS:
        draw_curve(ax, x, y, order, label)
        return
    # Bins as wide as one another on the axis. The first point stands by itself: where a curve
    # begins is often what matters.
    along = np.log(x) if _is_wide(x) else x
    bins = (along - along.min()) / (np.ptp(along) or 1) * _BINS // 1
    bins = np.minimum(bins, _BINS - 1)
    bins[0] = -1
    cuts = np.flatnonzero(np.diff(bins)) + 1
    middles = [float(part.mean()) for part in np.split(x, cuts)]
    parts = np.split(y, cuts)
    lowest, highest = [part.min() for part in parts], [part.max() for part in parts]
    color = STROKES[order].color
    ax.fill_between(middles, lowest, highest, color=color, alpha=0.16, linewidth=0.0)
    draw_curve(ax, middles, [part.mean() for part in parts], order, label)


def legend(ax: Axes, **style: Any) -> None:
    """Explain the curves, without an edge; what lies behind shows through faintly."""
    ax.legend(edgecolor="none", framealpha=0.85, handlelength=3.2, **style)


def scale_tokens(ax: Axes, values: NDArray[Any], *, axis: str = "x") -> None:
    """Count tokens along an axis, by powers of ten where they span more than two of them."""
    if _is_wide(values):
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    else:
        (ax.xaxis if axis == "x" else ax.yaxis).set_major_formatter("{x:,.0f}")


def _is_wide(values: NDArray[Any]) -> bool:
    return bool(values.min() > 0 and values.max() > 100 * values.min())


def token_ticks(ax: Axes, lengths: Sequence[int]) -> None:
    """Put a tick at every length, multiples of 1024 in k."""
    ax.set_xscale("log", base=2)
    ax.minorticks_off()
    names = [f"{n // 1024}k" if n % 1024 == 0 else f"{n:,}" for n in lengths]
    ax.set_xticks(lengths, names)
