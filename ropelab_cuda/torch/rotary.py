"""Rotating queries and keys inside torch models."""

from __future__ import annotations

from typing import Any

import torch

from ropelab import Spectrum

from . import autograd, ops
from .positions import listed
from .spectra import SpectrumText, as_text, constant_by_identity

__all__ = ["apply_rotary", "apply_rotary_", "apply_rotary_cached"]

_text = constant_by_identity(as_text)


def apply_rotary(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: Any,
    spectrum: Spectrum | SpectrumText,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys."""
    ids = listed(position_ids, q, tensor_format)
    text, numbers = _described(spectrum)
    place = (tensor_format, layout, output_layout, rotary_offset, inverse)
    made: tuple[torch.Tensor, torch.Tensor] = ops.rotary_qk(q, k, ids, text, numbers, angles, *place)
    return made


def apply_rotary_(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: Any,
    spectrum: Spectrum | SpectrumText,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys in place."""
    ids = listed(position_ids, q, tensor_format)
    text, numbers = _described(spectrum)
    place = (tensor_format, layout, output_layout, rotary_offset, inverse)
    ops.rotary_qk_(q, k, ids, text, numbers, angles, *place)
    return q, k


def apply_rotary_cached(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given cosines and sines."""
    place = (tensor_format, layout, output_layout, rotary_offset, inverse)
    return ops.rotary_cached(q, cos, sin, *place), ops.rotary_cached(k, cos, sin, *place)


def _described(spectrum: Spectrum | SpectrumText) -> SpectrumText:
    return spectrum if isinstance(spectrum, SpectrumText) else SpectrumText(_text(spectrum))
