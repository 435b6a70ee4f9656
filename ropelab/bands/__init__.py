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

from .base_bound import (
    PUBLISHED_BASES,
    Breach,
    PublishedBase,
    asymptotic_base,
    effective_context,
    first_breach,
    fitted_base,
)
from .classification import Band, BandName, classify, frequency_ratios, stretches
from .cosines import cosine_sum, pair_cosines
from .coverage import completes_turn, turning, turns_within, unseen_angles
from .critical import critical_base, critical_dimension, critical_pair, knee_bases

__all__ = [
    "PUBLISHED_BASES",
    "Band",
    "BandName",
    "Breach",
    "PublishedBase",
    "asymptotic_base",
    "classify",
    "completes_turn",
    "cosine_sum",
    "critical_base",
    "critical_dimension",
    "critical_pair",
    "effective_context",
    "first_breach",
    "fitted_base",
    "frequency_ratios",
    "knee_bases",
    "pair_cosines",
    "stretches",
    "turning",
    "turns_within",
    "unseen_angles",
]
