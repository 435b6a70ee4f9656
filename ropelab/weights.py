"""Projection weights of queries and keys, permuted from one layout to the other.

Scores do not change if the channels of q and k are permuted alike, so a checkpoint made for one
layout serves the other once the rows that yield q and k are permuted: of weights, of biases, and of
the gains of a normalisation between projection and rotation. Rows are moved, never computed with,
and rows that yield no rotated channel stay where they are, the values' among them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from .arrays import as_array
from .checks import check_choice, check_layout, check_rotary_offset, positive_int
from .layouts import to_half, to_interleaved

__all__ = ["ARRANGEMENTS", "permute_qk_weight", "permute_qkv_weight"]

ARRANGEMENTS = ("concatenated", "grouped")
_MOVES = {"half": to_half, "interleaved": to_interleaved}


def permute_qk_weight(
    weight: ArrayLike,
    num_heads: int,
    *,
    target: str,
    rotary_dim: int | None = None,
    rotary_offset: int = 0,
) -> NDArray[Any]:
    """Permute the rows of a query or key projection from the other layout to `target`.

    Parameters
    ----------
    weight : array-like of any dtype, shape (num_heads * head_dim, ...)
        A weight of shape (out, in), a bias of shape (out,), or with one head the gain of a
        normalisation over head_dim.
    num_heads : int
        Heads that the rows yield; for keys of grouped-query attention, the key heads.
    target : {"half", "interleaved"}
        The layout that the result is for; see `ropelab.layouts`.
    rotary_dim : int, optional
        Rotated channels of a head; by default all.
    rotary_offset : int, default 0
        The first rotated channel of a head. DeepSeek-V3's ``q_b_proj`` has it at
        ``qk_nope_head_dim``; its ``kv_a_proj_with_mqa`` is one head with it at ``kv_lora_rank``.

    Returns
    -------
    ndarray, shape and dtype of `weight`
        A copy.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If the rows are not a multiple of the heads, or a layout or a width does not fit.

    Examples
    --------
    >>> permute_qk_weight([0, 1, 2, 3, 10, 11, 12, 13], 2, target="half").tolist()
    [0, 2, 1, 3, 10, 12, 11, 13]
    """
    result = as_array(weight, "weight").copy()
    heads = _by_head(result, {"num_heads": positive_int(num_heads, "num_heads")})
    _permute(heads, target, rotary_dim, rotary_offset)
    return result


def permute_qkv_weight(
    weight: ArrayLike,
    num_heads: int,
    num_kv_heads: int,
    *,
    target: str,
    arrangement: str = "concatenated",
    rotary_dim: int | None = None,
    rotary_offset: int = 0,
) -> NDArray[Any]:
    """Permute the query and key rows of a fused projection; the rows of the values stay.

    Parameters
    ----------
    weight : array-like of any dtype, shape ((num_heads + 2 * num_kv_heads) * head_dim, ...)
        A weight of shape (out, in) or a bias of shape (out,).
    num_heads : int
        Query heads.
    num_kv_heads : int
        Key heads, which are as many as value heads; a divisor of `num_heads`.
    target : {"half", "interleaved"}
        The layout that the result is for.
    arrangement : {"concatenated", "grouped"}, default "concatenated"
        ``"concatenated"``: all query heads, all key heads, all value heads, as in Phi-3's
        ``qkv_proj`` and DBRX's ``Wqkv``. ``"grouped"``: for each key head its query heads, itself
        and its value head, as in GPT-NeoX's and Persimmon's ``query_key_value``, where each query
        head has its own key head, and in Falcon's.
    rotary_dim : int, optional
        As in `permute_qk_weight`.
    rotary_offset : int, default 0
        As in `permute_qk_weight`.

    Returns
    -------
    ndarray, shape and dtype of `weight`
        A copy.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If the rows are not a multiple of all heads, or an option does not fit.

    Examples
    --------
    >>> rows = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]  # one query, key and value head
    >>> permute_qkv_weight(rows, 1, 1, target="half").tolist()
    [0, 2, 1, 3, 10, 12, 11, 13, 20, 21, 22, 23]
    """
    queries = positive_int(num_heads, "num_heads")
    keys = positive_int(num_kv_heads, "num_kv_heads")
    check_choice(arrangement, ARRANGEMENTS, "arrangement")
    if queries % keys:
        msg = f"num_kv_heads: expected a divisor of num_heads = {queries}; got {keys}"
        raise ValueError(msg)
    result = as_array(weight, "weight").copy()
    heads = _by_head(result, {"num_heads": queries, "2 * num_kv_heads": 2 * keys})
    if arrangement == "concatenated":
        _permute(heads[: queries + keys], target, rotary_dim, rotary_offset)
    else:
        groups = heads.reshape(keys, queries // keys + 2, *heads.shape[1:])
        for group in groups:
            _permute(group[:-1], target, rotary_dim, rotary_offset)
    return result


def _by_head(weight: NDArray[Any], counts: dict[str, int]) -> NDArray[Any]:
    """Return a view of shape (heads, head_dim, ...), with heads the sum of the counts."""
    heads = sum(counts.values())
    rows = weight.shape[0] if weight.ndim else 0
    if rows == 0 or rows % heads:
        words = " + ".join(f"{name} = {count}" for name, count in counts.items())
        msg = (
            f"weight: expected rows (its first axis) of {words} heads, a multiple of {heads}; "
            f"got shape {weight.shape}; a weight of shape (in, out) goes in transposed"
        )
        raise ValueError(msg)
    return weight.reshape(heads, rows // heads, *weight.shape[1:])


def _permute(heads: NDArray[Any], target: str, rotary_dim: int | None, rotary_offset: int) -> None:
    """Permute the rotated channels, axis 1, of all heads in place."""
    check_layout(target, "target")
    width = heads.shape[1]
    d = width if rotary_dim is None else positive_int(rotary_dim, "rotary_dim", even=True)
    if d > width:
        msg = f"rotary_dim: expected at most head_dim = {width}, the rows of a head; got {d}"
        raise ValueError(msg)
    first = check_rotary_offset(rotary_offset, d, width)
    rotated = heads[:, first : first + d]
    rotated[...] = _MOVES[target](rotated, axis=1)
