"""The operators on the CPU: the specification, which reads torch's memory by DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import ropelab
from ropelab import Rope, Spectrum
from ropelab.pairs import Placement
from ropelab.positions.token_positions import current_length

from ..calls import check_same_dtype
from ..device_spectrum import DeviceSpectrum, spectrum_numbers
from ..length_rules import length_rule
from ..overlaps import check_overlaps
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
    """Rotate queries and keys."""
    check_same_dtype({"q": q, "k": k})  # type: ignore[dict-item]  # they have one, as views do
    made = ropelab.apply_rotary_qk(
        *(q, k, position_ids, _on_host(spectrum)), angles=angles, **place._asdict()
    )
    q_out, k_out = (_tensor(array, like) for array, like in zip(made, (q, k), strict=True))
    return q_out, k_out


def rotary_qk_(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: Any,
    spectrum: AnySpectrum,
    angles: str,
    place: Placement,
) -> None:
    """Rotate queries and keys in place."""
    made = rotary_qk(q, k, position_ids, spectrum, angles, place)
    views = [(name, _view(x)) for name, x in (("q", q), ("k", k))]
    check_overlaps(views, views, [])
    for x, rotated in zip((q, k), made, strict=True):
        with torch._C._AutoDispatchBelowAutograd():
            x.copy_(rotated)
        torch_framework().written(x)


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, place: Placement
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    check_same_dtype({"cos": cos, "sin": sin})  # type: ignore[dict-item]
    return _tensor(ropelab.apply_rotary_cached(x, cos, sin, **place._asdict()), x)


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
    if isinstance(spectrum, Spectrum):
        return spectrum
    text, numbers = spectrum
    if numbers is None:
        return from_text(text)
    rule = length_rule(rope_from_text(text))
    return DeviceSpectrum(rule, numbers, _view(numbers), torch_framework()).to_host()


def _view(x: torch.Tensor) -> View:
    name = str(x.dtype).removeprefix("torch.")
    return View(x.data_ptr(), tuple(x.shape), x.stride(), name)


def _tensor(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor whose dtype and order of axes are those of another."""
    bits = array.view(np.uint16) if array.dtype.names else array
    made = torch.from_numpy(bits).view(like.dtype)
    return made if like.is_contiguous() else torch.empty_like(like).copy_(made)
