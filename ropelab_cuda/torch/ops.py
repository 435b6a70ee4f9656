"""The operators: their schemas, and what is known of their results without computing them."""

from __future__ import annotations

import torch

from ropelab.checks import check_positions, check_same_tokens, check_width, token_shape

from . import on_cpu, on_cuda
from .spectra import from_text, rope_from_text

__all__ = ["LIBRARY", "length_numbers", "rotary_cached", "rotary_qk", "rotary_qk_"]

LIBRARY = torch.library.Library("ropelab", "FRAGMENT")

# In the order of `ropelab.pairs.Placement`.
_PLACE = "str tensor_format, str layout, str? output_layout, int rotary_offset, bool inverse"
_BY_POSITIONS = f"Tensor position_ids, str spectrum, Tensor? numbers, str angles, {_PLACE}"

SCHEMAS = {
    "rotary_qk": f"(Tensor q, Tensor k, {_BY_POSITIONS}) -> (Tensor, Tensor)",
    "rotary_qk_": f"(Tensor(a!) q, Tensor(b!) k, {_BY_POSITIONS}) -> ()",
    "rotary_cached": f"(Tensor x, Tensor cos, Tensor sin, {_PLACE}) -> Tensor",
    "length_numbers": "(Tensor position_ids, str rope) -> Tensor",
}

for _name, _schema in SCHEMAS.items():
    LIBRARY.define(_name + _schema)
    LIBRARY.impl(_name, getattr(on_cpu, _name), "CPU")
    LIBRARY.impl(_name, getattr(on_cuda, _name), "CUDA")

rotary_qk = torch.ops.ropelab.rotary_qk.default
rotary_qk_ = torch.ops.ropelab.rotary_qk_.default
rotary_cached = torch.ops.ropelab.rotary_cached.default
length_numbers = torch.ops.ropelab.length_numbers.default
