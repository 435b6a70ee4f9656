"""The operators on the CPU: the specification, which reads torch's memory by DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import ropelab
from ropelab import Rope, Spectrum
from ropelab.positions.token_positions import current_length

from ..calls import check_same_dtype
from ..device_spectrum import DeviceSpectrum, spectrum_numbers
from ..torch_tensors import torch_framework
from .plain import check_not_of_inference
from .ropes import rule_of
from .spectra import SpectrumText, from_text
from .written import check_written_apart, view_of

__all__ = ["length_numbers", "rotary_cached", "rotary_cached_qk", "rotary_qk", "rotary_qk_"]

AnySpectrum = Spectrum | SpectrumText


def rotary_qk(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: AnySpectrum, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys."""
    check_same_dtype({"q": q, "k": k})  # type: ignore[dict-item]  # they have one, as views do
    made = ropelab.apply_rotary_qk(q, k, position_ids, _on_host(spectrum), **options)
    return _tensor(made[0], q), _tensor(made[1], k)


def rotary_qk_(
    q: torch.Tensor, k: torch.Tensor, position_ids: Any, spectrum: AnySpectrum, **options: Any
) -> None:
    """Rotate queries and keys in place."""
    check_not_of_inference(q=q, k=k)
    made = rotary_qk(q, k, position_ids, spectrum, **options)
    check_written_apart(q, k)
    for x, rotated in zip((q, k), made, strict=True):
        x.copy_(rotated)


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **options: Any
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    check_same_dtype({"cos": cos, "sin": sin})  # type: ignore[dict-item]  # it asks for dtypes alone
    return _tensor(ropelab.apply_rotary_cached(x, cos, sin, **options), x)


def rotary_cached_qk(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given cosines and sines."""
    check_same_dtype({"cos": cos, "sin": sin})  # type: ignore[dict-item]  # it asks for dtypes alone
    made = ropelab.apply_rotary_cached_qk(q, k, cos, sin, **options)
    return _tensor(made[0], q), _tensor(made[1], k)


def length_numbers(position_ids: torch.Tensor, rope: Rope) -> torch.Tensor:
    """Return the numbers of a rope's spectrum at the length that positions have come to."""
    length = current_length(position_ids, tuple(position_ids.shape))
    spectrum = rope.spectrum(length)
    numbers = spectrum_numbers(spectrum.inv_freq.size)()
    numbers.attention_factor, numbers.length = spectrum.attention_factor, length or 0
    numbers.inv_freq[:] = spectrum.inv_freq.tolist()
    numbers.turns[:] = spectrum.turns.tolist()
    if spectrum.periods is not None:
        numbers.period[:] = spectrum.periods.tolist()
    numbers.inv_freq_float[:] = spectrum.inv_freq.astype(np.float32).tolist()
    return torch.frombuffer(bytearray(numbers), dtype=torch.int64)


def _on_host(spectrum: AnySpectrum) -> Spectrum:
    if not isinstance(spectrum, SpectrumText):
        return spectrum
    text, numbers = spectrum
    if numbers is None:
        return from_text(text)
    rule, view = rule_of(text, numbers), view_of(numbers)
    return DeviceSpectrum(rule, numbers, view, torch_framework()).to_host()


def _tensor(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor whose dtype and order of axes are those of another."""
    bits = array.view(np.uint16) if array.dtype.names else array
    made = torch.from_numpy(bits).view(like.dtype)
    return made if like.is_contiguous() else torch.empty_like(like).copy_(made)
