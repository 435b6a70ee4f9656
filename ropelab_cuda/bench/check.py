"""Whether a candidate rotates as the specification says, before anything is timed."""

from __future__ import annotations

import math

import numpy as np

import ropelab
from ropelab.layouts import pair_channels
from ropelab.precision import eps

from .candidates import Candidate
from .inputs import Inputs, Pair

__all__ = ["worst_error"]


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
        Worst error of a pair over its norm, in eps of the dtype; infinite if a number is NaN, or a
        channel that passes through has changed.
    """
    workload, given = inputs.workload, inputs.sets[0]
    result = candidate.call(Pair.of(given.block.clone(), workload))
    if not candidate.layout:
        return 0.0 if bool((result == given.block).all()) else math.inf
    rows, columns = (
        sorted({0, length // 2, length - 1}) for length in (workload.batch, workload.sequence)
    )
    some = np.ix_(rows, columns)
    positions = inputs.position_ids.expand(workload.batch, -1).cpu().numpy()[some].ravel()
    width = workload.width
    first, second = pair_channels(candidate.layout, width)
    worst = 0.0
    for before, after in zip((given.q, given.k), result, strict=True):
        x, actual = (
            tensor[rows][:, columns]
            .double()
            .cpu()
            .numpy()
            .reshape(len(positions), *before.shape[2:])
            for tensor in (before, after)
        )
        expected = ropelab.apply_rotary(
            x,
            positions,
            inputs.spectrum,
            layout=candidate.layout,
            tensor_format="thd",
            angles=candidate.angles,
            inverse=candidate.backward,
        )
        if (actual[..., width:] != x[..., width:]).any():
            return math.inf
        error = actual - expected
        error = np.hypot(error[..., first], error[..., second])
        error /= np.hypot(expected[..., first], expected[..., second])
        worst = max(worst, float(np.nan_to_num(error, nan=math.inf).max()))
    return worst / eps(workload.dtype)
