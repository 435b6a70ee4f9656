"""The pictures of frequency rules, each of a rope that the goldens look at."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ropelab import plots
from ropelab.bands import stretches
from ropelab.golden.cards import CARDS, LENGTHS, Card
from ropelab.golden.implementation import rope_of_card

__all__ = ["draw", "example", "save", "seen", "told"]

# Pictured where the rule still is what it is named for; at the longest length it is dynamic_linear.
WITHIN_REACH = {"te-4": 16384}


def example(rope_type: str) -> tuple[str, Card, int | None]:
    """Return the golden card of a rule's picture, and the longest length it is asked at."""
    cards = {name: card for name, card in CARDS.items() if card["rope_type"] == rope_type}
    longest = {name: max((n for n in LENGTHS.get(name, ()) if n), default=None) for name in cards}
    longest |= {name: length for name, length in WITHIN_REACH.items() if name in cards}
    for name, card in cards.items():  # the first whose rule changes anything
        if (stretches(rope_of_card(card), seq_len=longest[name]) != 1.0).any():
            break
    else:
        name = next(iter(cards))
    return name, cards[name], longest[name]


def told(card: Mapping[str, Any]) -> str:
    """Return a card's own parameters, long lists by their ends."""

    def _value(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"({told(value)})"
        if isinstance(value, list | tuple) and len(value) > 4:
            return f"[{value[0]:g}, …, {value[-1]:g}]"
        return str(value)

    left_out = (
        ("layout", "rotary_dim") if card.get("rotary_dim") == card.get("head_dim") else ("layout",)
    )
    return ", ".join(
        f"{name} {_value(value)}"
        for name, value in card.items()
        if name not in left_out and value is not None
    )


def _draw_stretches(ax: Axes, stretch: NDArray[np.float64]) -> None:
    """Draw how many times longer each pair's wavelength is."""
    turning = np.isfinite(stretch)
    ax.plot(np.flatnonzero(turning), stretch[turning], ".", color="#333333", markersize=4)
    ax.axhline(1.0, color="#8c8c8c", linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    ax.set_xlim(-1, stretch.size)
    ax.set_xlabel("pair index")
    ax.set_ylabel("times the unscaled wavelength")
    ax.spines[["top", "right"]].set_visible(False)


def draw(rope_type: str) -> Figure:
    """Draw a rule's picture: wavelengths, and beside them how far each is stretched."""
    _, card, length = example(rope_type)
    rope = rope_of_card(card)
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    stretch = stretches(rope, seq_len=length)
    own = rope_type in ("axial", "inv_freq")
    if own or np.isin(stretch, (1.0, np.inf)).all():  # nothing to be said of a stretch
        plots.wavelengths(rope, ax=figure.subplots(), seq_len=length)
    else:
        left, right = figure.subplots(1, 2, width_ratios=[2.5, 1.0])
        plots.wavelengths(rope, ax=left, seq_len=length)
        _draw_stretches(right, stretch)
    return figure


def seen(figure: Figure) -> str:
    """Return what the markers of a picture show, as its legend says it."""
    legend = figure.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    return "; ".join(label for label in labels if label != "without scaling")


def save(figure: Figure, path: Path) -> None:
    """Write a picture of twice the pixels that it is shown in."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=176)
    # A palette of few colours makes it a third as large; and nothing differs between two runs.
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)
