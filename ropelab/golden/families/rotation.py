"""How a rotation case is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import tolerances
from ..cards import SMALL
from ..case import Array, Case
from ..inputs import positions, tensor
from .common import inv_freq_of

__all__ = ["rotation"]


def rotation(
    path: str,
    dtype: str,
    *,
    flags: tuple[str, ...],
    rope: str = "default",
    shape: tuple[int, ...] = (2, 3, 5),
    heads_k: int | None = None,
    form: str = "shuffled",
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    factor: float = 1.0,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    stored: str | None = None,
    scale: float | list[float] | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Case:
    """Return a rotation case; `shape` is (batch, sequence, heads) or (tokens, heads)."""
    head_dim = SMALL[rope]["head_dim"]
    letters = dict(zip("bsh" if len(shape) == 3 else "th", shape, strict=True))

    def _shaped(heads: int) -> tuple[int, ...]:
        return tuple({**letters, "h": heads, "d": head_dim}[axis] for axis in tensor_format)

    batch, sequence = (shape[0], shape[1]) if len(shape) == 3 else (1, shape[0])
    ids = positions(form, batch, sequence)
    ids = ids.reshape(sequence) if len(shape) == 2 and ids.size == sequence else ids
    given: dict[str, Array] = {"position_ids": ids, "inv_freq": inv_freq_of(rope)}
    if heads_k is None:
        op, given["x"] = "apply_rotary", tensor(_shaped(shape[-1]), dtype)
    else:
        op, given["q"] = "apply_rotary_qk", tensor(_shaped(shape[-1]), dtype)
        given["k"] = tensor(_shaped(heads_k), dtype, seed=2)
    options: dict[str, Any] = {
        "layout": layout,
        "tensor_format": tensor_format,
        "angles": angles,
        "inverse": inverse,
        "attention_factor": factor,
    }
    # Named where asked for alone: an implementation without these keywords can answer the rest.
    options |= {} if output_layout is None else {"output_layout": output_layout}
    options |= {"rotary_offset": rotary_offset} if rotary_offset else {}
    options |= {} if stored is None else {"dtype": stored}
    options |= {} if scale is None else {"scale": scale}
    given |= arrays or {}
    farthest = int(np.abs(given["position_ids"].astype(np.int64)).max())
    bound = tolerances.pair(stored or dtype, angles, farthest, scaled=scale is not None)
    return Case(f"{path}/{dtype}", op, given, options, bound, flags)
