"""rotalabs-accel's rotary embedding, as its documentation describes it.

Neighbouring channels form a pair; queries and keys are of shape (batch, sequence, heads, head_dim).
"""

from __future__ import annotations

import torch
from torch import nn

from ropelab import Rope
from ropelab.checks import check_flag, integer, positive_int
from ropelab.positions import Consecutive

from ..torch import apply_rotary, apply_rotary_cached
from ..torch.plain import check_tensors
from ._tables import cos_sin

__all__ = ["RotaryEmbedding", "apply_rope", "build_rope_cache", "rope_torch"]


def build_rope_cache(
    seq_len: int,
    head_dim: int,
    base: float = 10000.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tables of cosines and sines for the first positions.

    Parameters
    ----------
    seq_len : int
        Number of positions.
    head_dim : int
        Channels of a head; even.
    base : float, default 10000.0
        Base of the frequencies.
    device : torch.device, optional
        Where the tables are put; by default torch's default device.
    dtype : torch.dtype, default float32
        Format of the tables. Only they are rounded to it, not what they are computed from.

    Returns
    -------
    cos, sin : Tensor of `dtype`, shape (seq_len, head_dim / 2)
        One value a pair.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.
    """
    length = integer(seq_len, "seq_len")
    if length < 0:
        msg = f"seq_len: expected a number of positions >= 0; got {length}"
        raise ValueError(msg)
    spectrum = Rope(head_dim, base=base).spectrum()
    cos, sin = cos_sin(torch.arange(length, device=device), spectrum, dtype)
    return cos, sin


def rope_torch(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given tables, which have a row for each of their positions.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, sequence, heads, head_dim)
        Queries and keys; k may have fewer heads.
    cos, sin : Tensor of float
        Of shape (sequence, head_dim / 2), (batch, sequence, head_dim / 2), or any that broadcasts
        to (batch, sequence, 1, head_dim / 2).

    Returns
    -------
    q, k : Tensor
        Rotated, each in its own dtype. Gradients flow to all four arguments.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.
    """
    _check_axes(q=q, k=k)
    check_tensors(cos=cos, sin=sin)
    rows = [_by_token(table, q, name) for table, name in ((cos, "cos"), (sin, "sin"))]
    return apply_rotary_cached(q, k, *rows, layout="interleaved")


def apply_rope(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    use_triton: bool | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by given tables, which may be longer than the sequence.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, sequence, heads, head_dim)
        As in `rope_torch`.
    cos, sin : Tensor of float
        As in `rope_torch`; of tables with more rows than tokens the first are taken.
    use_triton : bool, optional
        Has no effect: there is one kernel, and it is not Triton's.

    Returns
    -------
    q, k : Tensor
        As in `rope_torch`.

    Raises
    ------
    TypeError, ValueError
        As in `rope_torch`.
    """
    if use_triton is not None:
        check_flag(use_triton, "use_triton")
    _check_axes(q=q, k=k)
    check_tensors(cos=cos, sin=sin)
    if cos.dim() == sin.dim() == 2:
        cos, sin = cos[: q.shape[1]], sin[: q.shape[1]]
    return rope_torch(q, k, cos, sin)


class RotaryEmbedding(nn.Module):
    """The rotary embedding of one kind of head; it keeps no tables.

    Parameters
    ----------
    dim : int
        Channels of a head; even.
    max_seq_len : int, default 2048
        Kept as an attribute. Positions past it are as good as others.
    base : float, default 10000.0
        Base of the frequencies.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.
    """

    def __init__(self, dim: int, max_seq_len: int = 2048, base: float = 10000.0) -> None:
        super().__init__()
        self._spectrum = Rope(dim, base=base).spectrum()
        self.dim = dim
        self.max_seq_len = positive_int(max_seq_len, "max_seq_len")
        self.base = base

    def forward(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        *,
        seq_len: int | None = None,
        offset: int = 0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate queries and keys.

        Parameters
        ----------
        q, k : Tensor of float, shape (batch, sequence, heads, dim)
            Queries and keys; k may have fewer heads.
        position_ids : Tensor of int, shape (batch, sequence) or (sequence,), optional
            Position of each token; by default they follow one another from `offset` on.
        seq_len : int, optional
            Number of tokens, if they are to be counted.
        offset : int, default 0
            Position of the first token, such as the tokens in a cache of keys.

        Returns
        -------
        q, k : Tensor
            Rotated, each in its own dtype. Gradients flow to both.

        Raises
        ------
        TypeError, ValueError
            If a dtype, a shape or the number of tokens does not fit, or both `position_ids` and
            `offset` are given.
        """
        _check_axes(q=q, k=k)
        if seq_len is not None and integer(seq_len, "seq_len") != q.shape[1]:
            msg = f"seq_len: expected the tokens of q, {q.shape[1]}; got {seq_len}; leave it out"
            raise ValueError(msg)
        first = integer(offset, "offset")
        if position_ids is not None and first:
            msg = f"offset: expected 0 beside position_ids; got {first}; add it to them"
            raise ValueError(msg)
        positions: torch.Tensor | Consecutive = Consecutive(first)
        if position_ids is not None:
            check_tensors(position_ids=position_ids)
            positions = position_ids.to(q.device)
        return apply_rotary(q, k, positions, self._spectrum, layout="interleaved")

    def extra_repr(self) -> str:
        """Return the parameters, for `repr`."""
        return f"dim={self.dim}, max_seq_len={self.max_seq_len}, base={self.base}"


def _check_axes(**tensors: torch.Tensor) -> None:
    """Raise unless queries and keys are tensors of the four axes that they have there."""
    check_tensors(**tensors)
    for name, x in tensors.items():
        if x.dim() != 4:
            msg = (
                f"{name}: expected shape (batch, sequence, heads, head_dim); got {tuple(x.shape)}; "
                f"unsqueeze the axis that is missing, or flatten those that lead"
            )
            raise ValueError(msg)


def _by_token(table: torch.Tensor, q: torch.Tensor, name: str) -> torch.Tensor:
    """Return a table without its axis of heads."""
    shape, pairs = tuple(table.shape), q.shape[-1] // 2
    if not 2 <= len(shape) <= 4 or shape[-1] != pairs:
        msg = (
            f"{name}: expected (sequence, {pairs}), (batch, sequence, {pairs}) or "
            f"(batch, sequence, 1, {pairs}); got {shape}"
        )
        raise ValueError(msg)
    if len(shape) == 4:
        return table.squeeze(2)
    # By the rule of broadcasting, three axes may also be (sequence, 1, pairs).
    is_column = len(shape) == 3 and shape[:2] == (q.shape[1], 1) != (1, 1)
    return table.squeeze(1) if is_column else table
