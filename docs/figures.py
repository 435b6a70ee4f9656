"""Draws the pictures of the documentation: ``nox -s figures``."""

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.guide_figures import FIGURES
from ropelab import Rope, plots
from ropelab.plots.style import BLUE, INK
from ropelab.scaling import Llama3

IMAGES = Path(__file__).parent / "images"
MEASUREMENTS = Path(__file__).parent / "measurements"

LLAMA_3_1 = Rope(
    128,
    base=500_000.0,
    scaling=Llama3(
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=8192,
    ),
    max_position_embeddings=131_072,
)


def draw_bands(ax: Axes) -> None:
    """Draw the wavelengths of Llama 3.1 by band."""
    plots.wavelengths(LLAMA_3_1, ax=ax)
    ax.set_title(
        "Llama-3.1 keeps its fast pairs and stretches its slow ones eightfold", loc="left", pad=10
    )


def draw_linearity(ax: Axes, measured: Path) -> None:
    """Draw time per token against tokens, as `ropelab_cuda.bench.linearity` has measured it."""
    content = json.loads(measured.read_text("utf-8"))
    line = content["line"]
    tokens = np.array([point["tokens"] for point in content["points"]])
    times = np.array([point["median"] for point in content["points"]])
    fitted = line["latency"] + line["slope"] * tokens
    law = f"{line['latency']:.2g} μs + {line['slope'] * 1e3:.3g} ns a token"
    ax.plot(tokens, fitted / tokens * 1e3, color=INK, linewidth=1.0, label=law)
    ax.plot(tokens, times / tokens * 1e3, "o", color=BLUE, markersize=4.5, label="measured")
    ax.set_xscale("log", base=2)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("tokens of a call")
    ax.set_ylabel("nanoseconds a token")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    card = content["environment"]["card"].split(",")[0]
    heads = "{}/{} heads of {}".format(*content["heads"])
    ax.set_title(f"Cost is linear in tokens: {heads}, bfloat16, {card}", loc="left", pad=10)


def save(name: str, draw: Figure) -> None:
    """Write a picture, leaving out all that would differ from one run to the next."""
    draw.savefig(IMAGES / name, dpi=200, metadata={"Software": None})


def main() -> None:
    """Draw every picture."""
    mpl.rcParams.update({"font.size": 10, "axes.titlesize": 12})
    figure = Figure(figsize=(7.6, 4.5), layout="constrained")
    draw_bands(figure.subplots())
    save("llama-3.1-bands.png", figure)
    for name, drawn in FIGURES.items():
        save(name, drawn())
    for measured in sorted(MEASUREMENTS.glob("*-linearity.json"))[-1:]:
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        draw_linearity(figure.subplots(), measured)
        save("linear-cost.png", figure)


if __name__ == "__main__":
    main()
