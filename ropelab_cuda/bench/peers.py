"""Transformers' formula, as torch runs it: eagerly, and compiled.

Each is a function of q, k, cos and sin. q and k have axes batch, sequence, heads, head_dim. cos and
sin have the width of the rotated channels and the dtype of q and k, as Transformers makes them: a
value for each channel, rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

    Rotate: TypeAlias = Callable[
        [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]
    ]

__all__ = ["TURNS", "compiled", "formula", "tables", "transformers_eager"]


def _turn_half(x: torch.Tensor) -> torch.Tensor:
    """Return the pairs turned by a right angle, in the half layout."""
    import torch

    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def _turn_interleaved(x: torch.Tensor) -> torch.Tensor:
    """Return the pairs turned by a right angle, in the interleaved layout."""
    import torch

    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack((-second, first), dim=-1).flatten(-2)


TURNS = {"half": _turn_half, "interleaved": _turn_interleaved}


def tables(
    position_ids: torch.Tensor, inv_freq: torch.Tensor, layout: str, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Transformers' cos and sin: of the float32 product, for each channel, rounded.

    Parameters
    ----------
    position_ids : torch.Tensor of int, shape (batch, sequence)
        Positions.
    inv_freq : torch.Tensor, shape (rotary_dim / 2,)
        Frequencies.
    layout : {"half", "interleaved"}
        Which channels form a pair.
    dtype : torch.dtype
        Format of the tables.

    Returns
    -------
    cos, sin : torch.Tensor, shape (batch, sequence, rotary_dim)
        The tables.
    """
    angles = position_ids[..., None].float() * inv_freq.float()
    angles = angles.repeat(1, 1, 2) if layout == "half" else angles.repeat_interleave(2, dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def formula(layout: str) -> Rotate:
    """Return Transformers' formula, operation by operation.

    Parameters
    ----------
    layout : {"half", "interleaved"}
        Which channels form a pair.

    Returns
    -------
    callable
        The rotation of q and k; channels past the width of the tables pass through.
    """
    import torch

    turn = TURNS[layout]

    def turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Rotate the first channels."""
        width = cos.shape[-1]
        if width == x.shape[-1]:
            return x * cos + turn(x) * sin
        part = x[..., :width]
        return torch.cat((part * cos + turn(part) * sin, x[..., width:]), dim=-1)

    def rotate(
        q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate q and k."""
        cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
        return turned(q, cos, sin), turned(k, cos, sin)

    return rotate


def compiled(layout: str) -> Rotate:
    """Return the formula for q and k in one function, compiled for the very shapes it meets.

    Parameters
    ----------
    layout : {"half", "interleaved"}
        Which channels form a pair.

    Returns
    -------
    callable
        The rotation of q and k.
    """
    import torch

    return torch.compile(formula(layout), fullgraph=True, dynamic=False)


def transformers_eager() -> Rotate:
    """Return Transformers' own function, or its formula where Transformers is not installed.

    Returns
    -------
    callable
        The rotation of q and k, half layout.
    """
    try:
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
    except ImportError:
        return formula("half")
    return lambda q, k, cos, sin: apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
