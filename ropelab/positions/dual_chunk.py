"""Positions of dual chunk attention, which cuts a long context into chunks of a trained length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import integer, positive_int
from .common import check_reach, integers

__all__ = ["DualChunk", "dual_chunk_positions"]


class DualChunk(NamedTuple):
    """Positions that tokens take as keys, and as queries by the chunk of the key they look at."""

    key: NDArray[np.int64]
    same_chunk: NDArray[np.int64]
    previous_chunk: NDArray[np.int64]
    earlier_chunk: NDArray[np.int64]


def dual_chunk_positions(position_ids: ArrayLike, chunk_size: int, local_size: int) -> DualChunk:
    r"""Return the positions that each token takes as a key and as a query.

    Chunks hold :math:`s = c - l` tokens, and :math:`r = m \bmod s` is a token's place in its own:

    .. math:: m_k = r, \quad m_{same} = r, \quad m_{previous} = \min(r + s, c), \quad
              m_{earlier} = r + c

    so that every query is at its true distance from keys of its own chunk, and the first l of a
    chunk also from those of the chunk before.

    Parameters
    ----------
    position_ids : array-like of int
        Positions m; not negative.
    chunk_size : int
        Length c of a chunk and the local window together, in tokens; 262144 in Qwen2.5-1M.
    local_size : int
        Length l of the local window, in tokens; less than `chunk_size`; 8192 in Qwen2.5-1M.

    Returns
    -------
    DualChunk
        Four arrays of int64 of the shape of `position_ids`.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    References
    ----------
    .. [1] An et al., "Training-Free Long-Context Scaling of Large Language Models", 2024,
       arXiv:2402.17463, section 3; vLLM, ``DualChunkRotaryEmbedding``.

    Examples
    --------
    >>> [ids.tolist() for ids in dual_chunk_positions([0, 5, 6, 11], 8, 2)]
    [[0, 5, 0, 5], [0, 5, 0, 5], [6, 8, 6, 8], [8, 13, 8, 13]]
    """
    positions = integers(position_ids, "position_ids")
    if positions.size and positions.min() < 0:
        msg = f"position_ids: expected positions >= 0; got {int(positions.min())}"
        raise ValueError(msg)
    chunk, local = positive_int(chunk_size, "chunk_size"), integer(local_size, "local_size")
    if not 0 <= local < chunk:
        msg = f"local_size: expected 0 to {chunk - 1}, less than chunk_size; got {local}"
        raise ValueError(msg)
    step = chunk - local
    check_reach(chunk, step, "chunk_size")
    place = positions % step
    return DualChunk(place, place.copy(), np.minimum(place + step, chunk), place + chunk)
