"""What is timed for a workload, and the check that each must pass first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import ropelab
import ropelab_cuda
from ropelab.checks import LAYOUTS
from ropelab.layouts import pair_channels
from ropelab.precision import eps

from . import peers
from .inputs import Inputs, Pair
from .results import COMPILED, COPY, IN_PLACE, OURS

__all__ = ["Candidate", "candidates", "worst_error"]

# Errors of a pair over its norm, in eps. Rounding once costs at most a half; Transformers' formula
# rounds cos and sin (a half), the products (the root of a half) and the sum (a half). float32 has
# no wider format to compute in: cos and sin within 2 ulp, and the formula's roundings.
ROUNDED_ONCE = 0.5 + 0.01
ROUNDED_THRICE = 1.0 + math.sqrt(0.5) + 0.01
FLOAT32 = 2.0 + ROUNDED_THRICE


@dataclass(frozen=True)
class Candidate:
    """Something to time.

    Parameters
    ----------
    name : str
        For the table.
    layout : str
        As in `ropelab.apply_rotary`; empty for the copy.
    call : callable
        From a `Pair` to what owns the results; the rotated q and k unless it is the copy.
    angles : str, default "exact"
        Which pipeline of the specification it is to reproduce.
    tolerance : float, default ROUNDED_ONCE
        How closely, in eps.
    """

    name: str
    layout: str
    call: Callable[[Pair], Any]
    angles: str = "exact"
    tolerance: float = ROUNDED_ONCE


def candidates(inputs: Inputs) -> list[Candidate]:
    """Return everything that can rotate these inputs here, and the copy.

    Parameters
    ----------
    inputs : Inputs
        What is rotated.

    Returns
    -------
    list of Candidate
        The copy first, then ours, then the peers.
    """
    ours = [candidate for layout in LAYOUTS for candidate in _ours(inputs, layout)]
    others = [_peer(inputs, COMPILED, layout, peers.compiled(layout)) for layout in LAYOUTS]
    others.append(_peer(inputs, "Transformers eager", "half", peers.transformers_eager()))
    if liger := peers.liger():
        others.append(_peer(inputs, "Liger, in place", "half", liger))
    found = [Candidate(COPY, "", lambda pair: pair.block.clone()), *ours, *others]
    if inputs.workload.dtype == "float32":
        return [replace(candidate, tolerance=FLOAT32) for candidate in found]
    return found


def _ours(inputs: Inputs, layout: str) -> list[Candidate]:
    def call(function: Callable[..., Any], angles: str, pair: Pair) -> Any:
        return function(
            pair.q, pair.k, inputs.position_ids, inputs.spectrum, layout=layout, angles=angles
        )

    out, in_place = ropelab_cuda.apply_rotary_qk, ropelab_cuda.apply_rotary_qk_
    return [
        Candidate(OURS, layout, partial(call, out, "exact")),
        Candidate(IN_PLACE, layout, partial(call, in_place, "exact")),
        Candidate(f"{OURS}, float32 angles", layout, partial(call, out, "float32"), "float32"),
    ]


def _peer(inputs: Inputs, name: str, layout: str, rotate: peers.Rotate) -> Candidate:
    cos, sin = inputs.tables[layout]

    def call(pair: Pair) -> Any:
        return rotate(pair.q, pair.k, cos, sin)

    return Candidate(name, layout, call, "float32", ROUNDED_THRICE)


def worst_error(candidate: Candidate, inputs: Inputs) -> float:
    """Compare a candidate's result with the specification, on a few tokens.

    Parameters
    ----------
    candidate : Candidate
        What is checked; it works on a copy of the first set.
    inputs : Inputs
        What is rotated.

    Returns
    -------
    float
        Worst error of a pair over its norm, in eps of the dtype; NaN counts as infinite.
    """
    workload = inputs.workload
    given = inputs.sets[0]
    result = candidate.call(Pair.of(given.block.clone(), workload))
    if not candidate.layout:
        return 0.0 if bool((result == given.block).all()) else math.inf
    rows, columns = (
        sorted({0, length // 2, length - 1}) for length in (workload.batch, workload.sequence)
    )
    some = np.ix_(rows, columns)
    positions = inputs.position_ids.expand(workload.batch, -1).cpu().numpy()[some].ravel()
    first, second = pair_channels(candidate.layout, workload.head_dim)
    worst = 0.0
    for before, after in zip((given.q, given.k), result, strict=True):
        x, actual = (
            tensor[rows][:, columns]
            .double()
            .cpu()
            .numpy()
            .reshape(len(positions), *tensor.shape[2:])
            for tensor in (before, after)
        )
        expected = ropelab.apply_rotary(
            x,
            positions,
            inputs.spectrum,
            layout=candidate.layout,
            tensor_format="thd",
            angles=candidate.angles,
        )
        error = actual - expected
        error = np.hypot(error[..., first], error[..., second])
        error /= np.hypot(expected[..., first], expected[..., second])
        worst = max(worst, float(np.nan_to_num(error, nan=math.inf).max()))
    return worst / eps(workload.dtype)
