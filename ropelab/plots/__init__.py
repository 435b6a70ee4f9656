"""Pictures of rotary embeddings, drawn with matplotlib (``pip install 'ropelab[plot]'``).

Every picture reads without colour: what differs in hue differs in shape or lightness too. The hues
are those of Okabe and Ito, "Color Universal Design", 2008, which colour-blind readers can tell
apart. Each function draws one picture, into `ax` or a new figure, and returns the axes.
"""

from __future__ import annotations

from .wavelength_bands import wavelengths

__all__ = ["wavelengths"]
