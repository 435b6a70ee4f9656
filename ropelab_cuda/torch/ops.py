"""The operators: their schemas, and the kernels for each device.

A spectrum travels as a text, so that a graph holds all that it needs. Gradients, fakes and vmap
have files of their own, which register themselves here.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from ropelab.pairs import Placement

from . import on_cpu, on_cuda
from .ropes import rope_from_text
from .spectra import SpectrumText

__all__ = ["LIBRARY", "length_numbers", "rotary_cached", "rotary_qk", "rotary_qk_"]

LIBRARY: Any = torch.library.Library("ropelab", "FRAGMENT")  # type: ignore[no-untyped-call]

# In the order of `ropelab.pairs.Placement`.
_PLACE = "str tensor_format, str layout, str? output_layout, int rotary_offset, bool inverse"
_HOW = f"Tensor position_ids, str spectrum, Tensor? numbers, str angles, {_PLACE}"

LIBRARY.define(f"rotary_qk(Tensor q, Tensor k, {_HOW}) -> (Tensor, Tensor)")
LIBRARY.define(f"rotary_qk_(Tensor(a!) q, Tensor(b!) k, {_HOW}) -> ()")
LIBRARY.define(f"rotary_cached(Tensor x, Tensor cos, Tensor sin, {_PLACE}) -> Tensor")
LIBRARY.define("length_numbers(Tensor position_ids, str rope) -> Tensor")

rotary_qk = torch.ops.ropelab.rotary_qk.default
rotary_qk_ = torch.ops.ropelab.rotary_qk_.default
rotary_cached = torch.ops.ropelab.rotary_cached.default
length_numbers = torch.ops.ropelab.length_numbers.default


def _bare(x: torch.Tensor) -> torch.Tensor:
    """Return the tensor as kernels take it; autograd and subclasses have been served by now."""
    if type(x) is torch.Tensor and not x.requires_grad:
        return x
    return x.detach().as_subclass(torch.Tensor)


def _options(place: tuple[Any, ...]) -> dict[str, Any]:
    return Placement(*place)._asdict()


def _kernels(device: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the operators on a device."""

    def by_positions(rotate: Callable[..., Any]) -> Callable[..., Any]:
        def kernel(
            q: torch.Tensor,
            k: torch.Tensor,
            position_ids: torch.Tensor,
            text: str,
            numbers: torch.Tensor | None,
            angles: str,
            *place: Any,
        ) -> Any:
            tensors = _bare(q), _bare(k), _bare(position_ids)
            spectrum = SpectrumText(text, None if numbers is None else _bare(numbers))
            return rotate(*tensors, spectrum, angles=angles, **_options(place))

        return kernel

    def cached(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *place: Any) -> Any:
        return device.rotary_cached(_bare(x), _bare(cos), _bare(sin), **_options(place))

    def length(position_ids: torch.Tensor, rope: str) -> Any:
        return device.length_numbers(_bare(position_ids), rope_from_text(rope))

    return {
        "rotary_qk": by_positions(device.rotary_qk),
        "rotary_qk_": by_positions(device.rotary_qk_),
        "rotary_cached": cached,
        "length_numbers": length,
    }


def _promoted(q: torch.Tensor, k: torch.Tensor, *options: Any) -> Any:
    """Rotate under autocast: in the wider dtype of the two, as torch.cat is done there."""
    # Nothing is cast down: arithmetic is float32 at least and rounds once, whatever comes.
    dtype = torch.promote_types(q.dtype, k.dtype)
    with torch._C._ExcludeDispatchKeyGuard(_AUTOCAST):
        return rotary_qk(q.to(dtype), k.to(dtype), *options)


_AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU) | torch._C.DispatchKeySet(
    torch._C.DispatchKey.AutocastCUDA
)

for _key, _device in (("CPU", on_cpu), ("CUDA", on_cuda)):
    for _name, _kernel in _kernels(_device).items():
        LIBRARY.impl(_name, _kernel, _key)
    LIBRARY.impl("rotary_qk", _promoted, f"Autocast{_key}")
