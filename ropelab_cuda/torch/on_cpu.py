"""The operators on the CPU: the specification, which reads torch's memory by DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import ropelab
from ropelab import Spectrum
from ropelab.pairs import Placement
from ropelab.positions.token_positions import current_length

from ..device_spectrum import DeviceSpectrum, spectrum_numbers
from ..length_rules import length_rule
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
    """Rotate queries and keys."""
    made = ropelab.apply_rotary_qk(
        q.detach(),
        k.detach(),
        position_ids,
        _spectrum(spectrum, numbers),
        angles=angles,
        **Placement(*place)._asdict(),
    )
    q_out, k_out = (_tensor(array, like) for array, like in zip(made, (q, k), strict=True))
    return q_out, k_out


def rotary_qk_(q: torch.Tensor, k: torch.Tensor, *options: Any) -> None:
    """Rotate queries and keys in place."""
    for tensor, rotated in zip((q, k), rotary_qk(q, k, *options), strict=True):
        tensor.copy_(rotated)


def rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *place: Any
) -> torch.Tensor:
    """Rotate by given cosines and sines."""
    made = ropelab.apply_rotary_cached(
        x.detach(), cos.detach(), sin.detach(), **Placement(*place)._asdict()
    )
    return _tensor(made, x)


def length_numbers(position_ids: torch.Tensor, rope: str) -> torch.Tensor:
    """Return the numbers of a rope's spectrum at the length that positions have come to."""
    described = rope_from_text(rope)
    length = current_length(position_ids, tuple(position_ids.shape))
    spectrum = described.spectrum(length)
    numbers = spectrum_numbers(spectrum.inv_freq.size)()
    numbers.attention_factor, numbers.length = spectrum.attention_factor, length or 0
    numbers.inv_freq[:] = spectrum.inv_freq.tolist()
    numbers.turns[:] = spectrum.turns.tolist()
    if spectrum.periods is not None:
        numbers.period[:] = spectrum.periods.tolist()
    numbers.inv_freq_float[:] = spectrum.inv_freq.astype(np.float32).tolist()
    raw = bytearray(numbers)
    raw += bytes(-len(raw) % 8)
    return torch.frombuffer(raw, dtype=torch.int64)


def _spectrum(text: str, numbers: torch.Tensor | None) -> Spectrum:
    if numbers is None:
        return from_text(text)
    rule = length_rule(rope_from_text(text))
    view = View(numbers.data_ptr(), tuple(numbers.shape), (1,), "int64")
    return DeviceSpectrum(rule, numbers, view, torch_framework()).to_host()


def _tensor(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor of the dtype and the order of axes of another."""
    bits = array.view(np.uint16) if array.dtype.names else array
    made = torch.from_numpy(bits).view(like.dtype)
    return made if like.is_contiguous() else torch.empty_like(like).copy_(made)
