"""What is known of results without computing them: for torch.compile, export and meta tensors.

Whatever would be refused is refused here already, with the same words.
"""

from __future__ import annotations

from typing import Any

import torch

from ropelab.checks import (
    ANGLES,
    check_choice,
    check_positions,
    check_rotary_offset,
    check_same_tokens,
    check_table,
    check_width,
    token_shape,
)
from ropelab.pairs import Placement

from ..calls import check_same_dtype
from ..device_spectrum import numbers_words
from .ops import LIBRARY
from .ropes import rope_from_text, rule_of
from .spectra import from_text

__all__: list[str] = []

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def _rotary_qk(
    q: torch.Tensor,
    k: torch.Tensor,
    position_ids: torch.Tensor,
    text: str,
    numbers: torch.Tensor | None,
    angles: str,
    *place: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    given = Placement(*place)
    spectrum = from_text(text) if numbers is None else rule_of(text, numbers).spectrum
    tokens = _tokens(q, "q", given, spectrum.rotary_dim)
    _check_floats(k, "k")
    check_same_tokens(tuple(q.shape), tuple(k.shape), given.tensor_format)
    check_same_dtype({"q": q, "k": k})  # type: ignore[dict-item]  # they have one, as views do
    check_choice(angles, ANGLES, "angles")
    _check_integers(position_ids)
    check_positions(tuple(position_ids.shape), tokens, axes=spectrum.position_axes)
    others = {"k": k, "position_ids": position_ids}
    _check_devices(q, "q", others if numbers is None else {**others, "spectrum": numbers})
    return torch.empty_like(q), torch.empty_like(k)


def _rotary_qk_(*inputs: Any) -> None:
    _rotary_qk(*inputs)


def _rotary_cached(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *place: Any
) -> torch.Tensor:
    given, tables = Placement(*place), {"cos": cos, "sin": sin}
    tokens = _tokens(x, "x", given, 2 * cos.shape[-1] if cos.ndim else 0)
    for name, table in tables.items():
        _check_floats(table, name)
        check_table(tuple(table.shape), tokens, x.shape[-1], name)
    check_same_dtype(tables)  # type: ignore[arg-type]
    if sin.shape[-1] != cos.shape[-1]:
        msg = f"sin: expected the width of cos, {cos.shape[-1]}; got {sin.shape[-1]}"
        raise ValueError(msg)
    _check_devices(x, "x", tables)
    return torch.empty_like(x)


def _length_numbers(position_ids: torch.Tensor, rope: str) -> torch.Tensor:
    _check_integers(position_ids)
    pairs = rope_from_text(rope).rotary_dim // 2
    return position_ids.new_empty((numbers_words(pairs),), dtype=torch.int64)


def _tokens(x: torch.Tensor, name: str, place: Placement, d: int) -> tuple[int, ...]:
    """Return the tokens of a tensor that can be rotated."""
    _check_floats(x, name)
    tokens = token_shape(tuple(x.shape), place.tensor_format, name)
    place.ends()
    check_width(d, x.shape[-1], name)
    check_rotary_offset(place.rotary_offset, d, x.shape[-1])
    return tokens


def _check_floats(x: torch.Tensor, name: str) -> None:
    if x.dtype not in _FLOATS:
        msg = (
            f"{name}: expected float64, float32, float16 or bfloat16; got {x.dtype}; "
            f"convert it first"
        )
        raise TypeError(msg)


def _check_integers(position_ids: torch.Tensor) -> None:
    dtype = position_ids.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        msg = (
            f"position_ids: expected integers, which are exact; got {dtype}; "
            f"convert them to int64 if every value is whole"
        )
        raise TypeError(msg)


def _check_devices(first: torch.Tensor, first_name: str, others: dict[str, torch.Tensor]) -> None:
    for name, x in others.items():
        if x.device != first.device:
            msg = (
                f"{name}: expected a tensor on the device of {first_name}, {first.device}; got "
                f"one on {x.device}; move one of them"
            )
            raise ValueError(msg)


for _fake in (_rotary_qk, _rotary_qk_, _rotary_cached, _length_numbers):
    torch.library.register_fake(f"ropelab::{_fake.__name__[1:]}", _fake, lib=LIBRARY)
