"""The operators on CUDA: the kernels, which take torch's memory by DLPack."""

from __future__ import annotations

from typing import Any

import torch

from ropelab import Rope, Spectrum
from ropelab.pairs import Placement

from ..device_spectrum import AnySpectrum as KernelSpectrum
from ..device_spectrum import DeviceSpectrum, numbers_words
from ..inplace import apply_rotary_qk_
from ..length_rules import length_rule
from ..lengths import spectrum_on_device
from ..rotary import apply_rotary_cached, apply_rotary_qk
from ..torch_tensors import torch_framework
from ..views import View
from .ropes import rope_from_text
from .spectra import SpectrumText, from_text

__all__ = ["length_numbers", "rotary_cached", "rotary_qk", "rotary_qk_"]

AnySpectrum = Spectrum | SpectrumText


def rotary_qk(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: Any,
    spectrum: AnySpectrum,
    angles: str,
    place: Placement,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys in one launch."""
    made = apply_rotary_qk(
        *(_adjoining(q), _adjoining(k), position_ids, _on_device(spectrum)),
        angles=angles,
        **place._asdict(),
    )
    return _as(q, made[0]), _as(k, made[1])


def rotary_qk_(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: Any,
    spectrum: AnySpectrum,
    angles: str,
    place: Placement,
) -> None:
    """Rotate queries and keys in place, in one launch."""
    apply_rotary_qk_(q, k, position_ids, _on_device(spectrum), angles=angles, **place._asdict())


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, place: Placement
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    tables = _adjoining(cos), _adjoining(sin)
    return _as(x, apply_rotary_cached(_adjoining(x), *tables, **place._asdict()))


def length_numbers(position_ids: torch.Tensor, rope: Rope) -> torch.Tensor:
    """Compute the numbers of a rope's spectrum; nothing synchronises."""
    spectrum = spectrum_on_device(rope, position_ids)
    # Behind them lie those of the blocks that have looked for the largest position.
    numbers: torch.Tensor = spectrum.buffer[: numbers_words(spectrum.rotary_dim // 2)]
    return numbers


def _on_device(spectrum: AnySpectrum) -> KernelSpectrum:
    if isinstance(spectrum, Spectrum):
        return spectrum
    text, numbers = spectrum
    if numbers is None:
        return from_text(text)
    device = numbers.get_device()
    view = View(numbers.data_ptr(), (numbers.numel(),), (1,), "int64", device, numbers)
    return DeviceSpectrum(length_rule(rope_from_text(text)), numbers, view, torch_framework())


def _adjoining(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose channels adjoin, as kernels ask; a sum's gradient has none at all."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _as(given: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Return a result in the order of axes of what was given."""
    return made if given.stride(-1) == 1 else torch.empty_like(given).copy_(made)
