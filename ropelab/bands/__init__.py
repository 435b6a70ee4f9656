"""What frequencies mean for a model: bands, bounds on the context, decay, rounding.

====================  ==========================================================================
bands                 `classify`, `stretches`, `frequency_ratios`
turns                 `turning`, `turns_within`, `completes_turn`, `unseen_angles`
base and context      `first_breach`, `effective_context`, `bound_holds`, `smallest_base`
critical dimension    `critical_pair`, `critical_dimension`, `critical_base`, `knee_bases`
decay                 `cosine_sum`, `decay_bound`, `average_cosines`, and bounds of interpolation
one pair of vectors   `score`, `pair_products`, `peak_phases`, and `similarity` of two embeddings
rounding              `first_alias`, `distinct_positions`, `angle_errors`
====================  ==========================================================================

An embedding is judged by its numbers alone: no rule has to say what it does, and none can
misreport it.
"""

from __future__ import annotations

from .agreement import pair_products, peak_phases, score, similarity
from .base_bound import (
    PUBLISHED_BASES,
    PublishedBase,
    asymptotic_base,
    effective_context,
    first_breach,
    fitted_base,
)
from .base_search import bound_holds, smallest_base
from .breach_search import Breach
from .classification import Band, BandName, classify, stretches
from .cosines import cosine_sum, pair_cosines
from .coverage import completes_turn, turning, turns_within, unseen_angles
from .critical import critical_base, critical_dimension, critical_pair, knee_bases
from .decay import (
    average_cosines,
    decay_bound,
    extrapolation_bound,
    interpolation_bound,
    partial_sums,
)
from .quotients import frequency_ratios
from .rounding import angle_errors, distinct_positions, first_alias

__all__ = [
    "PUBLISHED_BASES",
    "Band",
    "BandName",
    "Breach",
    "PublishedBase",
    "angle_errors",
    "asymptotic_base",
    "average_cosines",
    "bound_holds",
    "classify",
    "completes_turn",
    "cosine_sum",
    "critical_base",
    "critical_dimension",
    "critical_pair",
    "decay_bound",
    "distinct_positions",
    "effective_context",
    "extrapolation_bound",
    "first_alias",
    "first_breach",
    "fitted_base",
    "frequency_ratios",
    "interpolation_bound",
    "knee_bases",
    "pair_cosines",
    "pair_products",
    "partial_sums",
    "peak_phases",
    "score",
    "similarity",
    "smallest_base",
    "stretches",
    "turning",
    "turns_within",
    "unseen_angles",
]
