"""Transformers' ``modeling_rope_utils``, and the two functions that its models share."""

from __future__ import annotations

import torch

from ropelab.layouts import pair_channels

from ..torch import apply_rotary_cached
from ._transformers_config import (
    RopeParameters,
    RotaryEmbeddingConfigMixin,
    rope_config_validation,
)
from ._transformers_frequencies import (
    ROPE_INIT_FUNCTIONS,
    _compute_dynamic_ntk_parameters,
    _compute_linear_scaling_rope_parameters,
    _compute_llama3_parameters,
    _compute_longrope_parameters,
    _compute_proportional_rope_parameters,
    _compute_yarn_parameters,
)
from ._transformers_lengths import dynamic_rope_update

__all__ = [
    "ROPE_INIT_FUNCTIONS",
    "RopeParameters",
    "RotaryEmbeddingConfigMixin",
    "_compute_dynamic_ntk_parameters",
    "_compute_linear_scaling_rope_parameters",
    "_compute_llama3_parameters",
    "_compute_longrope_parameters",
    "_compute_proportional_rope_parameters",
    "_compute_yarn_parameters",
    "apply_rotary_pos_emb",
    "dynamic_rope_update",
    "rope_config_validation",
    "rotate_half",
]

# The order of a batch's axes, by which of them is that of the heads.
_FORMATS = {1: "bhsd", 2: "bshd"}


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Return (-y, x) of each pair (x, y) of channels i and i + d/2.

    Parameters
    ----------
    x : Tensor, shape (..., d)
        Its last axis is halved.

    Returns
    -------
    Tensor, shape of `x`
        Each pair a quarter turn further.

    Examples
    --------
    >>> rotate_half(torch.tensor([1, 2, 3, 4])).tolist()
    [-3, -4, 1, 2]
    """
    half = x.shape[-1] // 2
    return torch.cat((x[..., half:].neg(), x[..., :half]), dim=-1)


def apply_rotary_pos_emb(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    unsqueeze_dim: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by the tables that a model's rotary embedding returns.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, heads, sequence, D), (batch, sequence, heads, D)
        As `unsqueeze_dim` says. Without the axis of the batch they are one sequence.
    cos, sin : Tensor of float, shape (batch, sequence, d) or (sequence, d)
        Columns i and i + d/2 are the same; the first is read. d may be smaller than D.
    unsqueeze_dim : int, default 1
        Where `cos` and `sin` lack the axis of the heads: 1 if it is before that of the sequence, 2
        if it is behind.

    Returns
    -------
    q, k : Tensor
        Rotated, in the dtype that theirs and that of the tables are promoted to.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> q, k = torch.ones(1, 4, 3, 8), torch.ones(1, 2, 3, 8)
    >>> angles = torch.tensor([[[0.0], [1.0], [2.0]]]).expand(1, 3, 8)
    >>> [x.shape for x in apply_rotary_pos_emb(q, k, angles.cos(), angles.sin())]
    [torch.Size([1, 4, 3, 8]), torch.Size([1, 2, 3, 8])]
    """
    if q.ndim not in (3, 4) or k.ndim != q.ndim:
        msg = f"q: expected 3 or 4 axes, and as many of k; got {tuple(q.shape)}, {tuple(k.shape)}"
        raise ValueError(msg)
    dtype = torch.promote_types(cos.dtype, sin.dtype)
    tensor_format, cos_by_pair = _by_pair(cos, "cos", q.ndim, unsqueeze_dim)
    _, sin_by_pair = _by_pair(sin, "sin", q.ndim, unsqueeze_dim)
    q_batch, k_batch = (
        (x if x.ndim == 4 else x[None]).to(torch.promote_types(x.dtype, dtype)) for x in (q, k)
    )
    q_out, k_out = apply_rotary_cached(
        q_batch, k_batch, cos_by_pair, sin_by_pair, tensor_format=tensor_format
    )
    return q_out.view(q.shape), k_out.view(k.shape)


def _by_pair(
    table: torch.Tensor, name: str, axes: int, unsqueeze_dim: int
) -> tuple[str, torch.Tensor]:
    """Return the order of the axes of a batch of tensors, and their table without repetition."""
    aligned = table.unsqueeze(unsqueeze_dim)
    missing = 4 - aligned.ndim
    heads = missing + unsqueeze_dim % aligned.ndim
    if aligned.ndim <= axes and heads in _FORMATS and aligned.shape[-1] % 2 == 0:
        halved = aligned[..., pair_channels("half", aligned.shape[-1])[0]]
        return _FORMATS[heads], halved[(None,) * missing].squeeze(heads)
    msg = (
        f"{name}: expected shape (batch, sequence, d) or (sequence, d), which unsqueeze_dim = "
        f"{unsqueeze_dim} gives an axis for the heads; got {tuple(table.shape)}"
    )
    raise ValueError(msg)
