"""Draws the pictures of the documentation: ``nox -s figures``."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ropelab import Rope, plots
from ropelab.scaling import Llama3

IMAGES = Path(__file__).parent / "images"

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


def main() -> None:
    """Draw every picture, leaving out all that would differ from one run to the next."""
    mpl.rcParams.update({"font.size": 10, "axes.titlesize": 12})
    figure = Figure(figsize=(7.6, 4.5), layout="constrained")
    ax = plots.wavelengths(LLAMA_3_1, ax=figure.subplots())
    ax.set_title(
        "Llama-3.1 keeps its fast pairs and stretches its slow ones eightfold", loc="left", pad=10
    )
    figure.savefig(IMAGES / "llama-3.1-bands.png", dpi=200, metadata={"Software": None})


if __name__ == "__main__":
    main()
