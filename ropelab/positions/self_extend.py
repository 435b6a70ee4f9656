"""Distances that a model sees when its attention bends them: Self-Extend and ReRoPE.

Both keep the distances within a window and compress those past it, so that no distance is larger
than the model was trained for. No single position a token gives such distances, so the attention
is computed twice, and each score is taken from one of the two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import positive_int
from .common import integers

__all__ = ["rerope_distances", "self_extend_distances", "self_extend_positions"]


def self_extend_positions(
    position_ids: ArrayLike, group_size: int, neighbor_window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""Return the positions of queries and keys in Self-Extend's grouped attention.

    .. math:: m_q = \lfloor m / G \rfloor + w - \lfloor w / G \rfloor, \qquad
              m_k = \lfloor m / G \rfloor

    The other, neighbour attention takes `position_ids` as they are.

    Parameters
    ----------
    position_ids : array-like of int
        Positions m; not negative.
    group_size : int
        Positions G that share one.
    neighbor_window : int
        Distance w from which on the grouped attention counts, in tokens.

    Returns
    -------
    queries, keys : ndarray of int64, shape of `position_ids`
        Grouped positions.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    References
    ----------
    .. [1] Jin et al., "LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning", 2024,
       arXiv:2401.01325, section 3; datamllab/LongLM, ``apply_group_rotary_pos_emb``.

    Examples
    --------
    >>> queries, keys = self_extend_positions([0, 1, 2, 9], 2, 4)
    >>> queries.tolist(), keys.tolist()
    ([2, 2, 3, 6], [0, 0, 1, 4])
    """
    positions = _positions(position_ids, "position_ids")
    group = positive_int(group_size, "group_size")
    window = positive_int(neighbor_window, "neighbor_window")
    keys = positions // group
    return keys + (window - window // group), keys


def self_extend_distances(
    query_ids: ArrayLike, key_ids: ArrayLike, group_size: int, neighbor_window: int
) -> NDArray[np.int64]:
    """Return the distance at which each query sees each key under Self-Extend.

    Parameters
    ----------
    query_ids : array-like of int, shape (queries,)
        Positions of the queries.
    key_ids : array-like of int, shape (keys,)
        Positions of the keys.
    group_size, neighbor_window : int
        As in `self_extend_positions`.

    Returns
    -------
    ndarray of int64, shape (queries, keys)
        The true distance where it is below the window (or negative, where a causal mask hides
        the key), and that of the grouped positions elsewhere.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    Groups are cut by absolute position, so the same true distance may be seen as two, one apart:
    ``floor(q / G) - floor(k / G)`` is not ``floor((q - k) / G)``.

    References
    ----------
    .. [1] arXiv:2401.01325, section 3 and figure 4.

    Examples
    --------
    >>> self_extend_distances([9, 10], range(0, 11, 2), 2, 4).tolist()
    [[6, 5, 4, 3, 1, -1], [7, 6, 5, 4, 2, 0]]
    """
    true = _distances(query_ids, key_ids)
    queries, _ = self_extend_positions(query_ids, group_size, neighbor_window)
    _, keys = self_extend_positions(key_ids, group_size, neighbor_window)
    return np.where(true < neighbor_window, true, queries[:, np.newaxis] - keys)


def rerope_distances(query_ids: ArrayLike, key_ids: ArrayLike, window: int) -> NDArray[np.int64]:
    r"""Return the distance at which each query sees each key under ReRoPE.

    .. math:: \min(m - n, w)

    The attention past the window turns every query to position w and leaves the keys unturned.

    Parameters
    ----------
    query_ids : array-like of int, shape (queries,)
        Positions m of the queries.
    key_ids : array-like of int, shape (keys,)
        Positions n of the keys.
    window : int
        The largest distance w, in tokens.

    Returns
    -------
    ndarray of int64, shape (queries, keys)
        Clipped from above; negative where a causal mask hides the key.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    References
    ----------
    .. [1] Su, "Transformer Upgrade Road: 12, ReRoPE", 2023, kexue.fm/archives/9708.

    Examples
    --------
    >>> rerope_distances([5, 6], range(7), 3).tolist()
    [[3, 3, 3, 2, 1, 0, -1], [3, 3, 3, 3, 2, 1, 0]]
    """
    return np.minimum(_distances(query_ids, key_ids), positive_int(window, "window"))


def _distances(query_ids: ArrayLike, key_ids: ArrayLike) -> NDArray[np.int64]:
    queries, keys = _positions(query_ids, "query_ids"), _positions(key_ids, "key_ids")
    for ids, name in ((queries, "query_ids"), (keys, "key_ids")):
        if ids.ndim != 1:
            msg = f"{name}: expected the positions of one sequence; got shape {ids.shape}"
            raise ValueError(msg)
    return queries[:, np.newaxis] - keys


def _positions(position_ids: ArrayLike, name: str) -> NDArray[np.int64]:
    positions = integers(position_ids, name)
    if positions.size and positions.min() < 0:
        msg = f"{name}: expected positions >= 0; got {int(positions.min())}"
        raise ValueError(msg)
    return positions
