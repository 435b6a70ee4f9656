"""The zoo: known bugs, each as a mutant of the specification. The goldens must reject them all.

A mutant is the specification with one function replaced by a wrong one, named after the
mechanism (M1 to M16) that `ropelab.golden.flags` explains. A rejection that holds only in float64
is no protection for a bfloat16 kernel, so each mutant has to fall in every dtype.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ..case import DTYPES
from ..files import Golden
from ..implementation import SPECIFICATION, Implementation
from ..verification import verify
from . import bugs
from .harness import with_options, with_positions, with_rope, with_spectrum, with_tables

__all__ = ["MUTANTS", "Mutant", "margins"]


@dataclass(frozen=True)
class Mutant:
    """A wrong implementation: the mechanism of its bug, and the bug in words."""

    mechanism: str
    description: str
    implementation: Implementation


_ROTATIONS = frozenset({"apply_rotary", "apply_rotary_qk", "model"})


def margins(mutant: Mutant, goldens: Iterable[Golden]) -> dict[str, float]:
    """Return, for each dtype, how many times a mutant's worst error exceeds the tolerance.

    Parameters
    ----------
    mutant : Mutant
        The suspect.
    goldens : iterable of Golden
        All goldens; only rotated tensors count.

    Returns
    -------
    dict of str to float
        By dtype; more than 1 is a rejection, infinity one that needs no tolerance.
    """
    worst = dict.fromkeys(DTYPES, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mutant may well be warned
        results = verify(goldens, mutant.implementation)
    for result in results:
        if result.case.op in _ROTATIONS:
            worst[result.case.dtype] = max(worst[result.case.dtype], result.share)
    return worst


_SPEC = SPECIFICATION
_ENTRIES: dict[str, tuple[str, str, Implementation]] = {
    "bfloat16-positions": (
        "M1",
        "positions rounded to bfloat16",
        with_positions(bugs.bfloat16_positions),
    ),
    "float16-angles": ("M1", "angles kept in float16", with_tables(bugs.half_angles)),
    "bfloat16-frequencies": (
        "M1",
        "frequencies cast by .to(bfloat16)",
        with_spectrum(lambda spectrum: spectrum.astype("bfloat16")),
    ),
    "short-range-reduction": (
        "M2",
        "angle reduced by one word of 2 pi",
        with_tables(bugs.short_reduction),
    ),
    "other-layout": ("M3", "half paired as interleaved, and back", with_options(layout=bugs.other)),
    "length-slice": ("M4", "table sliced by length, values ignored", with_positions(bugs.arange)),
    "offset-lost": ("M5", "every sequence starts again at 0", with_positions(bugs.restarted)),
    "rule-dropped": ("M6", "the scaling rule is not applied", with_rope(bugs.default_of)),
    "amplitude-missing": ("M7", "attention factor not applied", with_spectrum(bugs.not_scaled)),
    "amplitude-twice": ("M7", "attention factor applied twice", with_spectrum(bugs.scaled_twice)),
    "length-ignored": (
        "M8",
        "the length never reaches the rule",
        replace(_SPEC, spectrum=bugs.length_ignored),
    ),
    "length-off-by-one": (
        "M8",
        "the length is one too long",
        replace(_SPEC, spectrum=bugs.one_too_long),
    ),
    "head-dim-exponents": (
        "M9",
        "exponents over head_dim instead of rotary_dim",
        replace(_SPEC, spectrum=bugs.head_dim_exponents),
    ),
    "old-spelling-ignored": (
        "M10",
        "'type' not read where 'rope_type' is expected",
        replace(_SPEC, from_transformers=bugs.only_new_spelling),
    ),
    "first-row-only": (
        "M11",
        "at one token a sequence only batch row 0 is rotated",
        replace(_SPEC, apply_rotary=bugs.first_row_only),
    ),
    "inverse-forward": (
        "M12",
        "the backward pass rotates forward",
        with_options(inverse=bugs.never_inverse),
    ),
    "input-overwritten": (
        "M12",
        "the input is rotated in place",
        replace(_SPEC, apply_rotary=bugs.in_place, apply_rotary_qk=bugs.in_place_qk),
    ),
    "axes-reversed": ("M13", "w, h, t instead of t, h, w", with_spectrum(bugs.reversed_axes)),
    "table-too-short": (
        "M14",
        "positions clipped to a table of 4096",
        with_positions(bugs.end_of_table),
    ),
    "index-overflow": (
        "M14",
        "position times row length in 32 bits",
        with_tables(bugs.word_overflow),
    ),
    "stale-cache": ("M15", "cache key without rule and length", bugs.stale()),
    "never-filled": ("M15", "frequencies of an unfilled buffer", with_spectrum(bugs.never_filled)),
    "right-at-first": ("M16", "right up to position 40", with_tables(bugs.right_at_first)),
    "off-by-one": (
        "M4",
        "positions counted from 1",
        with_positions(lambda ids: ids.astype(np.int64) + 1),
    ),
    "last-pair-still": ("M11", "the last pair is not rotated", with_spectrum(bugs.last_pair_still)),
}
MUTANTS: Mapping[str, Mutant] = MappingProxyType(
    {name: Mutant(*entry) for name, entry in _ENTRIES.items()}
)
"""Every mutant by name."""
