"""All operations that are fuzzed, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ropelab_cuda.work import MULTIPROCESSORS

from . import kv_cache, norm, permute, rotary, xpos
from .call import Call, Device, findings
from .devices import shared_for
from .errors import Finding

__all__ = ["OPERATIONS", "Operation"]


class Operation(NamedTuple):
    """One of them.

    Parameters
    ----------
    kinds : tuple
        What its kernels are compiled for.
    cases : callable
        From some of its kinds to a strategy that draws cases.
    call_of : callable
        From a case to the call that it is.
    share : float
        How many of all cases are of it.
    """

    kinds: tuple[Any, ...]
    cases: Callable[..., Any]
    call_of: Callable[[Any], Call]
    share: float

    def findings(self, case: Any, device: Device) -> list[Finding]:
        """Make the call that a case is; raise AssertionError unless it is as specified."""
        multiprocessors = vars(case.kind).get("multiprocessors", MULTIPROCESSORS)
        with shared_for(multiprocessors):
            found = findings(self.call_of(case), device)
        for unit, error, bound in found:
            assert error <= bound, f"a pair is {error:.3g} eps of {unit} off"
        return found


OPERATIONS = {
    "rotary": Operation(rotary.KINDS, rotary.cases, rotary.call_of, 0.35),
    "kv_cache": Operation(kv_cache.KINDS, kv_cache.cases, kv_cache.call_of, 0.25),
    "norm": Operation(norm.KINDS, norm.cases, norm.call_of, 0.2),
    "xpos": Operation(xpos.KINDS, xpos.cases, xpos.call_of, 0.1),
    "permute": Operation(permute.KINDS, permute.cases, permute.call_of, 0.1),
}
