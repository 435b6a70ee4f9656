"""Pictures of rotary embeddings, drawn with matplotlib (``pip install 'ropelab[plot]'``).

====================  =====================================================================
one embedding         `wavelengths`, `angle_errors`
several, by pair      `stretches`, `frequency_ratios`, `spectra`, `turns`, `position_axes`
several, by distance  `cosine_sums`, `decay`, `similarity`
bases and lengths     `base_bound`, `effective_contexts`, `critical_dimensions`, `critical_bases`
tokens                `token_positions`, `grid`, `ownership`
====================  =====================================================================

Every picture reads without colour: what differs in hue differs in shape, dashes, hatching or
lightness too. The hues are those of Okabe and Ito, "Color Universal Design", 2008, which
colour-blind readers can tell apart. Each function draws one picture, into `ax` or a new figure, and
returns the axes.
"""

from __future__ import annotations

from .bounds import base_bound, critical_bases, critical_dimensions, effective_contexts
from .by_distance import cosine_sums, decay, similarity
from .by_pair import frequency_ratios, spectra, stretches, turns
from .error_map import angle_errors
from .places import grid, ownership, position_axes, token_positions
from .wavelength_bands import wavelengths

__all__ = [
    "angle_errors",
    "base_bound",
    "cosine_sums",
    "critical_bases",
    "critical_dimensions",
    "decay",
    "effective_contexts",
    "frequency_ratios",
    "grid",
    "ownership",
    "position_axes",
    "similarity",
    "spectra",
    "stretches",
    "token_positions",
    "turns",
    "wavelengths",
]
