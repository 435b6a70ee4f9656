"""Which row of a table of angles serves each token, found by torch's operations.

Nothing here synchronises with a GPU: what can only be seen there is asserted there.
"""

from __future__ import annotations

import torch

from ropelab.checks import check_choice, integer, positive_int, token_shape
from ropelab.layouts import pair_channels
from ropelab.positions import shard_tokens
from ropelab.positions.packed import checked_cu_seqlens

__all__ = ["cos_sin_of_rows", "rows_of_tokens"]

FORMATS = ("sbhd", "bshd", "thd")


def rows_of_tokens(
    shape: tuple[int, ...],
    tensor_format: str,
    start_positions: torch.Tensor | None,
    cu_seqlens: torch.Tensor | None,
    cp_size: int,
    cp_rank: int,
    device: torch.device,
) -> torch.Tensor:
    """Return the row of each token of a tensor, counted in its own whole sequence.

    Parameters
    ----------
    shape : tuple of int
        Of the tensor.
    tensor_format : {"sbhd", "bshd", "thd"}
        Order of its axes.
    start_positions : Tensor of int, shape (sequences,), optional
        Row of the first token of each sequence.
    cu_seqlens : Tensor of int, shape (sequences + 1,), optional
        Where each whole sequence of a pack begins.
    cp_size, cp_rank : int
        How many ranks hold a sequence, and which of them holds the tensor.
    device : torch.device
        Where the tensor lies.

    Returns
    -------
    Tensor of int64, shape (1 or b, s) or (t,)
        Rows.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.
    """
    check_choice(tensor_format, FORMATS, "tensor_format")
    tokens = token_shape(shape, tensor_format, "t")
    ranks, rank = positive_int(cp_size, "cp_size"), integer(cp_rank, "cp_rank")
    if not 0 <= rank < ranks:
        msg = f"cp_rank: expected 0 to {ranks - 1}, since cp_size is {ranks}; got {rank}"
        raise ValueError(msg)
    token = torch.arange(tokens[-1], device=device)
    if tensor_format != "thd":
        _check_even(tokens[-1], ranks)
        rows = _in_whole(token, tokens[-1], ranks, rank)[None]
        if start_positions is None:
            return rows
        return rows + _starts(start_positions, tokens[0], device)[:, None]
    if cu_seqlens is None:
        msg = "cu_seqlens: expected cumulative lengths, since tensor_format is 'thd'; got None"
        raise ValueError(msg)
    _check_pack(cu_seqlens, tokens[0], ranks, rank)
    bounds = cu_seqlens.to(device, torch.int64) // ranks
    sequence = torch.searchsorted(bounds, token, right=True) - 1
    sequence = sequence.clamp(max=bounds.numel() - 2)
    lengths = bounds.diff()
    rows = _in_whole(token - bounds[sequence], lengths[sequence], ranks, rank)
    if start_positions is None:
        return rows
    return rows + _starts(start_positions, lengths.numel(), device)[sequence]


def cos_sin_of_rows(
    freqs: torch.Tensor, rows: torch.Tensor, layout: str, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosine and sine of each pair of each token.

    Parameters
    ----------
    freqs : Tensor of float, shape (rows, 1, 1, d) or (rows, b, 1, d)
        Angles; the first column of each pair is read.
    rows : Tensor of int64, shape (1 or b, s) or (t,)
        Of `rows_of_tokens`.
    layout : {"half", "interleaved"}
        Which two columns are a pair's.
    name : str
        The argument's name, for messages.

    Returns
    -------
    cos, sin : Tensor of float, shape (1 or b, s, d/2) or (t, d/2)
        At least float32.

    Raises
    ------
    ValueError
        If the table has another shape, or a token no row.
    """
    if not (freqs.ndim == 4 and freqs.shape[2] == 1 and freqs.shape[3] % 2 == 0):
        msg = (
            f"{name}: expected angles of shape (rows, 1, 1, d) with an even d, as "
            f"RotaryPositionEmbedding returns them, which serve all heads; got shape "
            f"{tuple(freqs.shape)}; rotate heads of other angles by a call each"
        )
        raise ValueError(msg)
    _check_rows(rows, freqs.shape[0], name)
    angles = freqs[:, :, 0, pair_channels(layout, freqs.shape[3])[0]]
    if freqs.dtype in (torch.float16, torch.bfloat16):
        angles = angles.float()
    if freqs.shape[1] == 1:
        each = angles[:, 0][rows]
    elif rows.ndim == 2 and len(rows) == 1:
        each = angles[rows[0]].transpose(0, 1)
    else:
        msg = (
            f"{name}: expected shape (rows, 1, 1, d) beside start_positions or cu_seqlens; got "
            f"{tuple(freqs.shape)}"
        )
        raise ValueError(msg)
    return each.cos(), each.sin()


def _in_whole(
    local: torch.Tensor, length: torch.Tensor | int, ranks: int, rank: int
) -> torch.Tensor:
    """Return where tokens of a rank's part of a sequence stand in the whole, of 2R pieces."""
    if ranks == 1:
        return local
    piece = length // 2
    late = (2 * ranks - 1 - rank) * piece + local - piece
    return torch.where(local < piece, rank * piece + local, late)


def _starts(given: torch.Tensor, sequences: int, device: torch.device) -> torch.Tensor:
    kind = given.dtype
    if tuple(given.shape) != (sequences,) or kind.is_floating_point or kind == torch.bool:
        msg = (
            f"start_positions: expected integers, one for each of {sequences} sequences; got "
            f"{kind} of shape {tuple(given.shape)}"
        )
        raise ValueError(msg)
    return given.to(device, torch.int64)


def _check_even(length: int, ranks: int) -> None:
    if ranks > 1 and length % 2:
        msg = (
            f"t: expected an even number of tokens of each sequence, since each of {ranks} ranks "
            f"holds two pieces; got {length}; pad the sequences"
        )
        raise ValueError(msg)


def _on_host(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_pack(cu_seqlens: torch.Tensor, tokens: int, ranks: int, rank: int) -> None:
    """Raise ValueError unless a rank's part of a pack has so many tokens, or assert it there."""
    if _on_host(cu_seqlens):
        checked_cu_seqlens(cu_seqlens, tokens * ranks)
        if ranks > 1:
            shard_tokens(cu_seqlens, ranks, rank)
        return
    lengths = cu_seqlens.diff()
    pieces = 2 * ranks if ranks > 1 else 1
    good = (cu_seqlens[0] == 0) & (cu_seqlens[-1] == tokens * ranks)
    good = good & (lengths >= 0).all() & (lengths % pieces == 0).all()
    torch._assert_async(good, f"cu_seqlens: expected cumulative lengths of {tokens * ranks} tokens")


def _check_rows(rows: torch.Tensor, table: int, name: str) -> None:
    """Raise ValueError unless each row is one of a table's, or assert it there."""
    if rows.numel() == 0:
        return
    if not _on_host(rows):
        message = f"{name}: expected a row for each token; the table has {table}"
        torch._assert_async(((rows >= 0) & (rows < table)).all(), message)
        return
    first, last = int(rows.min()), int(rows.max())
    if first < 0 or last >= table:
        msg = (
            f"{name}: expected a row for each token; got {table} rows, and a token of row "
            f"{first if first < 0 else last}; ask RotaryPositionEmbedding for more"
        )
        raise ValueError(msg)
