"""The operators on CUDA: the kernels, which take torch's memory by DLPack."""

from __future__ import annotations

from typing import Any

import torch

from ropelab.pairs import Placement

from ..device_spectrum import AnySpectrum, DeviceSpectrum
from ..inplace import apply_rotary_qk_
from ..length_rules import length_rule
from ..lengths import spectrum_on_device
from ..rotary import apply_rotary_cached, apply_rotary_qk
from ..torch_tensors import torch_framework
from ..views import View
from .spectra import from_text, rope_from_text

__all__ = ["length_numbers", "rotary_cached", "rotary_qk", "rotary_qk_"]


def rotary_qk(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: torch.Tensor,
    spectrum: str,
    numbers: torch.Tensor | None,
    angles: str,
    *place: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys in one launch."""
    options = Placement(*place)._asdict()
    turned = _spectrum(spectrum, numbers)
    return apply_rotary_qk(q, k, position_ids, turned, angles=angles, **options)


def rotary_qk_(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: torch.Tensor,
    spectrum: str,
    numbers: torch.Tensor | None,
    angles: str,
    *place: Any,
) -> None:
    """Rotate queries and keys in place, in one launch."""
    options = Placement(*place)._asdict()
    turned = _spectrum(spectrum, numbers)
    apply_rotary_qk_(q, k, position_ids, turned, angles=angles, **options)


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *place: Any
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    made: torch.Tensor = apply_rotary_cached(x, cos, sin, **Placement(*place)._asdict())
    return made


def length_numbers(position_ids: torch.Tensor, rope: str) -> torch.Tensor:
    """Compute the numbers of a rope's spectrum; nothing synchronises."""
    made = spectrum_on_device(rope_from_text(rope), position_ids)
    numbers: torch.Tensor = made.buffer
    return numbers


def _spectrum(text: str, numbers: torch.Tensor | None) -> AnySpectrum:
    if numbers is None:
        return from_text(text)
    view = View(
        *(numbers.data_ptr(), (numbers.numel(),), (1,), "int64", numbers.get_device(), numbers)
    )
    rule = length_rule(rope_from_text(text))
    return DeviceSpectrum(rule, numbers, view, torch_framework())
