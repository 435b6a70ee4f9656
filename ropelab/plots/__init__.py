"""Pictures of rotary embeddings, drawn with matplotlib (``pip install 'ropelab[plot]'``).

====================  =====================================================================
one embedding         `wavelengths`, `angle_errors`, `rotations`
several, by pair      `stretches`, `frequency_ratios`, `spectra`, `turns`, `average_cosines`,
                      `position_axes`
several, by distance  `cosine_sums`, `decay`, `similarity`; several keys: `scores`
bases and lengths     `base_bound`, `effective_contexts`, `critical_dimensions`, `critical_bases`
channels              `layouts`
tokens                `token_positions`, `grid`, `grid_cosines`, `ownership`
====================  =====================================================================

Every picture reads without colour: what differs in hue differs in shape, dashes, hatching or
lightness too. The hues are those of Okabe and Ito, "Color Universal Design", 2008, which
colour-blind readers can tell apart. Each function draws one picture, into `ax` or a new figure, and
returns the axes.
"""

from __future__ import annotations

from .bounds import base_bound, critical_bases, critical_dimensions, effective_contexts
from .by_distance import cosine_sums, decay, scores, similarity
from .by_pair import average_cosines, frequency_ratios, spectra, stretches, turns
from .error_map import angle_errors
from .grid_map import grid_cosines
from .pairs import layouts, rotations
from .places import grid, ownership, position_axes, token_positions
from .wavelength_bands import wavelengths

__all__ = [
    "angle_errors",
    "average_cosines",
    "base_bound",
    "cosine_sums",
    "critical_bases",
    "critical_dimensions",
    "decay",
    "effective_contexts",
    "frequency_ratios",
    "grid",
    "grid_cosines",
    "layouts",
    "ownership",
    "position_axes",
    "rotations",
    "scores",
    "similarity",
    "spectra",
    "stretches",
    "token_positions",
    "turns",
    "wavelengths",
]
