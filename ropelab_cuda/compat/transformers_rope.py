"""Transformers' ``modeling_rope_utils``, and the two functions that its models share."""

from __future__ import annotations

import math

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

# The order of a batch's axes, by which of them, counted from the back, is that of the heads.
_FORMATS = {-3: "bhsd", -2: "bshd"}


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
    q, k : Tensor of float, shape (..., heads, sequence, D), (..., sequence, heads, D)
        As `unsqueeze_dim` says. What leads is a batch, of any number of axes.
    cos, sin : Tensor of float, shape (..., sequence, d)
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
    if q.ndim < 3 or k.ndim != q.ndim:
        msg = (
            f"q: expected 3 axes or more, and as many of k; got {tuple(q.shape)}, {tuple(k.shape)}"
        )
        raise ValueError(msg)
    dtype = torch.promote_types(cos.dtype, sin.dtype)
    heads, cos_by_pair = _by_pair(cos, "cos", q.ndim, unsqueeze_dim)
    _, sin_by_pair = _by_pair(sin, "sin", q.ndim, unsqueeze_dim)
    lead = _leading(q, k, cos_by_pair, sin_by_pair)
    q_batch, k_batch = (_one_batch(x, lead).to(torch.promote_types(x.dtype, dtype)) for x in (q, k))
    tables = (
        _one_batch(table, lead if len(lead) > 1 else table.shape[:-3]).squeeze(heads)
        for table in (cos_by_pair, sin_by_pair)
    )
    q_out, k_out = apply_rotary_cached(q_batch, k_batch, *tables, tensor_format=_FORMATS[heads])
    return q_out.view(*lead, *q.shape[-3:]), k_out.view(*lead, *k.shape[-3:])


def _by_pair(
    table: torch.Tensor, name: str, axes: int, unsqueeze_dim: int
) -> tuple[int, torch.Tensor]:
    """Return the axis of the heads, and a table that is aligned with a tensor's axes."""
    aligned = table.unsqueeze(unsqueeze_dim)
    missing = axes - aligned.ndim
    if missing >= 0 and aligned.shape[-1] % 2 == 0:
        made = aligned[..., pair_channels("half", aligned.shape[-1])[0]][(None,) * missing]
        given = unsqueeze_dim % aligned.ndim - aligned.ndim
        for heads in (given, *_FORMATS):
            if heads in _FORMATS and made.shape[heads] == 1:
                return heads, made
    msg = (
        f"{name}: expected shape (batch, sequence, d) or (sequence, d), which unsqueeze_dim = "
        f"{unsqueeze_dim} gives an axis for the heads; got {tuple(table.shape)}"
    )
    raise ValueError(msg)


def _leading(q: torch.Tensor, k: torch.Tensor, *tables: torch.Tensor) -> tuple[int, ...]:
    """Return the axes that lead in what queries and keys are broadcast to."""
    try:
        lead, other = (
            torch.broadcast_shapes(*(x.shape[:-3] for x in (one, *tables)))  # type: ignore[no-untyped-call]
            for one in (q, k)
        )
    except RuntimeError:
        lead, other = (), None
    if lead != other:
        batches = ", ".join(str(tuple(x.shape)) for x in (q, k, *tables))
        msg = (
            f"q: expected a batch that broadcasts with that of the tables, and k alike; got shapes "
            f"{batches}"
        )
        raise ValueError(msg)
    return tuple(lead)


def _one_batch(x: torch.Tensor, lead: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor with one axis in place of those that lead."""
    return x.expand(*lead, *x.shape[-3:]).reshape(math.prod(lead), *x.shape[-3:])
