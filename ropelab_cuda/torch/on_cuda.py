"""The operators on CUDA: the kernels, which take torch's memory by DLPack.

Kernels ask for channels that adjoin. Where they do not, as in the gradient of a sum, whose strides
are all 0, a copy is rotated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ropelab import Rope, Spectrum

from ..device_spectrum import AnySpectrum as KernelSpectrum
from ..device_spectrum import DeviceSpectrum, numbers_words
from ..inplace import apply_rotary_qk_
from ..lengths import spectrum_on_device
from ..rotary import apply_rotary_qk
from ..rotary_cached import apply_rotary_cached, apply_rotary_cached_qk
from ..torch_tensors import torch_framework
from ..views import View
from .plain import check_not_of_inference
from .ropes import rule_of
from .spectra import SpectrumText, from_text
from .written import check_written_apart

__all__ = ["length_numbers", "rotary_cached", "rotary_cached_qk", "rotary_qk", "rotary_qk_"]

AnySpectrum = Spectrum | SpectrumText


def rotary_qk(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: AnySpectrum, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys in one launch."""
    return _both(apply_rotary_qk, q, k, position_ids, _on_device(spectrum), **options)


def rotary_qk_(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: AnySpectrum, **options: Any
) -> None:
    """Rotate queries and keys in place, in one launch."""
    if q.is_inference() or k.is_inference():
        check_not_of_inference(q=q, k=k)
    if q.stride(-1) == 1 == k.stride(-1):
        apply_rotary_qk_(q, k, position_ids, _on_device(spectrum), **options)
        return
    made = rotary_qk(q, k, position_ids, spectrum, **options)
    check_written_apart(q, k)
    for x, rotated in zip((q, k), made, strict=True):
        x.copy_(rotated)


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **options: Any
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    tables = _adjoining(cos), _adjoining(sin)
    if x.stride(-1) == 1:
        made: torch.Tensor = apply_rotary_cached(x, *tables, **options)
        return made
    return _as(x, apply_rotary_cached(x.contiguous(), *tables, **options))


def rotary_cached_qk(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given cosines and sines, in one launch if their dtype is one."""
    tables = _adjoining(cos), _adjoining(sin)
    if q.dtype is k.dtype:
        return _both(apply_rotary_cached_qk, q, k, *tables, **options)
    return rotary_cached(q, *tables, **options), rotary_cached(k, *tables, **options)


def length_numbers(position_ids: torch.Tensor, rope: Rope) -> torch.Tensor:
    """Compute the numbers of a rope's spectrum; nothing synchronises."""
    spectrum = spectrum_on_device(rope, position_ids)
    # Behind them lie those of the blocks that have looked for the largest position.
    numbers: torch.Tensor = spectrum.buffer[: numbers_words(spectrum.rotary_dim // 2)]
    return numbers


def _on_device(spectrum: AnySpectrum) -> KernelSpectrum:
    if type(spectrum) is not SpectrumText:
        return spectrum  # type: ignore[return-value]
    text, numbers = spectrum
    if numbers is None:
        return from_text(text)
    rule, device = rule_of(text, numbers), numbers.get_device()
    view = View(numbers.data_ptr(), (numbers.numel(),), (1,), "int64", device, numbers)
    return DeviceSpectrum(rule, numbers, view, torch_framework())


def _adjoining(table: torch.Tensor) -> torch.Tensor:
    return table if table.stride(-1) == 1 else table.contiguous()


def _both(
    rotate: Callable[..., Any], q: torch.Tensor, k: torch.Tensor, *given: Any, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys, or copies of them whose channels adjoin."""
    made: tuple[torch.Tensor, torch.Tensor]
    if q.stride(-1) == 1 == k.stride(-1):
        made = rotate(q, k, *given, **options)
        return made
    made = rotate(q.contiguous(), k.contiguous(), *given, **options)
    return _as(q, made[0]), _as(k, made[1])


def _as(given: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Return a result in the order of axes of what was given."""
    return torch.empty_like(given).copy_(made)
