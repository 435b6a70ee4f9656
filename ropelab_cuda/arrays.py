"""The names of `ropelab` for arrays of NumPy, CuPy, JAX and torch, wherever they lie.

The first array decides: on a CUDA device the kernels compute, in host memory the specification, and
the results are of its framework and on its device. Names, arguments and errors are those of
`ropelab`; nothing is written in place, since JAX's arrays are immutable. See docs/frameworks.md.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import ropelab
from ropelab.dlpack import CUDA_DEVICES

from . import layouts, norm_rotary, phases, rotary, rotary_cached, xpos
from .handover import handed_over
from .storage import dtype_name
from .torch_tensors import refuse_lost_gradient

__all__ = [
    "apply_norm_rotary_qk",
    "apply_rotary",
    "apply_rotary_cached",
    "apply_rotary_cached_qk",
    "apply_rotary_qk",
    "apply_xpos_qk",
    "cos_sin",
    "exact_phases",
    "rotate",
    "to_half",
    "to_interleaved",
]

P = ParamSpec("P")


def _anywhere(specified: Callable[P, Any], launched: Callable[..., Any]) -> Callable[P, Any]:
    """Return a function that asks the specification or the kernels, as its first array lies."""
    signature = inspect.signature(specified)

    @wraps(specified)
    def call(*args: P.args, **options: P.kwargs) -> Any:
        given = _without_gradients(signature.bind(*args, **options).arguments)
        first = next(value for name, value in given.items() if name != "rope")
        if _is_on_cuda(first):
            return handed_over(launched(**given), first)
        if given.get("dtype") is not None:  # of any framework, as the kernels take it
            given["dtype"] = dtype_name(given["dtype"])
        function: Callable[..., Any] = specified
        return handed_over(function(**given), first)

    return call


def _without_gradients(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with torch's tensors detached, or raise if a gradient would be lost."""
    kind = getattr(sys.modules.get("torch"), "Tensor", ())
    learnt = {name: x for name, x in given.items() if isinstance(x, kind) and x.requires_grad}
    for name, x in learnt.items():
        refuse_lost_gradient(x, name)
    return given | {name: x.detach() for name, x in learnt.items()}


def _is_on_cuda(x: Any) -> bool:
    try:
        return int(x.__dlpack_device__()[0]) in CUDA_DEVICES
    except Exception:  # whatever it is, the specification says what is wrong with it
        return False


apply_rotary = _anywhere(ropelab.apply_rotary, rotary.apply_rotary)
apply_rotary_qk = _anywhere(ropelab.apply_rotary_qk, rotary.apply_rotary_qk)
apply_rotary_cached = _anywhere(ropelab.apply_rotary_cached, rotary_cached.apply_rotary_cached)
apply_rotary_cached_qk = _anywhere(
    ropelab.apply_rotary_cached_qk, rotary_cached.apply_rotary_cached_qk
)
rotate = _anywhere(ropelab.rotate, rotary.rotate)
apply_xpos_qk = _anywhere(ropelab.apply_xpos_qk, xpos.apply_xpos_qk)
apply_norm_rotary_qk = _anywhere(ropelab.apply_norm_rotary_qk, norm_rotary.apply_norm_rotary_qk)
cos_sin = _anywhere(ropelab.cos_sin, phases.cos_sin)
exact_phases = _anywhere(ropelab.exact_phases, phases.exact_phases)
to_half = _anywhere(ropelab.to_half, layouts.to_half)
to_interleaved = _anywhere(ropelab.to_interleaved, layouts.to_interleaved)
