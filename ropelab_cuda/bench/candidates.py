"""What is timed for a workload."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ropelab_cuda
from ropelab.checks import LAYOUTS

from . import peers
from .inputs import Inputs, Pair
from .results import COMPILED, COPIES, IN_PLACE, OURS
from .third_party import third_party
from .workloads import BAR, DECODE, Workload

__all__ = ["FLOAT32", "ROUNDED_ONCE", "ROUNDED_THRICE", "Candidate", "candidates"]

# Errors of a pair over its norm, in eps. Rounding once costs at most a half; Transformers' formula
# rounds cos and sin (a half), the products (the root of a half) and the sum (a half). float32 has
# no wider format to compute in: cos and sin within 2 ulp, and the formula's roundings.
ROUNDED_ONCE = 0.5 + 0.01
ROUNDED_THRICE = 1.0 + math.sqrt(0.5) + 0.01
FLOAT32 = 2.0 + ROUNDED_THRICE

EAGER = (BAR, DECODE[0], DECODE[-1])  # ten times slower than the rest, so a few will do


@dataclass(frozen=True)
class Candidate:
    """Something to time.

    Parameters
    ----------
    name : str
        For the table.
    layout : str
        As in `ropelab.apply_rotary`; empty for a copy.
    call : callable
        From a `Pair` to what owns the results; the rotated q and k unless it is a copy.
    angles : str, default "exact"
        Which pipeline of the specification it is to reproduce.
    tolerance : float, default ROUNDED_ONCE
        How closely, in eps.
    backward : bool, default False
        Whether it rotates by minus the angle.
    """

    name: str
    layout: str
    call: Callable[[Pair], Any]
    angles: str = "exact"
    tolerance: float = ROUNDED_ONCE
    backward: bool = False


def candidates(inputs: Inputs) -> list[Candidate]:
    """Return everything that can rotate these inputs here, and the copies.

    Parameters
    ----------
    inputs : Inputs
        What is rotated.

    Returns
    -------
    list of Candidate
        The copies first, then ours, then the peers.
    """
    directions = (False, True) if _has_backward(inputs.workload) else (False,)
    found = [*_copies(), *_ours(inputs, directions), *_torch(inputs, directions)]
    found += _third_party(inputs, directions)
    if inputs.workload.dtype == "float32":
        return [replace(candidate, tolerance=FLOAT32) for candidate in found]
    return found


def _has_backward(workload: Workload) -> bool:
    """Nobody trains on one token a sequence."""
    return workload.sequence > 1


def _copies() -> Iterator[Candidate]:
    def by_kernel(pair: Pair) -> Any:
        import torch

        return torch.add(pair.block.view(torch.int32), 0).view(pair.block.dtype)

    for name, call in zip(COPIES, (lambda pair: pair.block.clone(), by_kernel), strict=True):
        yield Candidate(name, "", call)


def _ours(inputs: Inputs, directions: tuple[bool, ...]) -> Iterator[Candidate]:
    def call(function: Callable[..., Any], options: dict[str, Any], pair: Pair) -> Any:
        return function(pair.q, pair.k, inputs.position_ids, inputs.spectrum, **options)

    out, in_place = ropelab_cuda.apply_rotary_qk, ropelab_cuda.apply_rotary_qk_
    for layout in LAYOUTS:
        for backward in directions:
            options: dict[str, Any] = {"layout": layout, "inverse": backward}
            yield Candidate(OURS, layout, partial(call, out, options), backward=backward)
            yield Candidate(IN_PLACE, layout, partial(call, in_place, options), backward=backward)
        if inputs.workload == BAR:
            options = {"layout": layout, "angles": "float32"}
            name = f"{OURS}, float32 angles"
            yield Candidate(name, layout, partial(call, out, options), "float32")


def _torch(inputs: Inputs, directions: tuple[bool, ...]) -> Iterator[Candidate]:
    def call(rotate: peers.Rotate, tables: Any, pair: Pair) -> Any:
        return rotate(pair.q, pair.k, *tables)

    for layout in LAYOUTS:
        rotate = peers.compiled(layout)
        for backward in directions:
            tables = (inputs.inverse_tables if backward else inputs.tables)[layout]
            function = partial(call, rotate, tables)
            yield Candidate(COMPILED, layout, function, "float32", ROUNDED_THRICE, backward)
    if inputs.workload in EAGER:
        function = partial(call, peers.transformers_eager(), inputs.tables["half"])
        yield Candidate("Transformers eager", "half", function, "float32", ROUNDED_THRICE)


def _third_party(inputs: Inputs, directions: tuple[bool, ...]) -> Iterator[Candidate]:
    def call(rotate: Callable[..., Any], layout: str, backward: bool, pair: Pair) -> Any:
        return rotate(inputs, pair, layout, backward)

    for peer in third_party():
        for layout in peer.layouts:
            for backward in directions if peer.backward else (False,):
                function = partial(call, peer.rotate, layout, backward)
                yield Candidate(peer.name, layout, function, "float32", ROUNDED_THRICE, backward)
