"""Positions of text, images and video in one sequence: Qwen2-VL's three axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_choice, finite_real, positive_int
from .common import LARGEST, check_reach, count, integers
from .grids import video_grid

__all__ = ["NEXT_STARTS", "mrope_delta", "mrope_positions"]

NEXT_STARTS = ("side", "maximum")


def mrope_positions(
    blocks: Iterable[Any],
    *,
    spatial_merge_size: int = 2,
    next_start: str = "side",
) -> NDArray[np.int64]:
    r"""Return time, row and column of each token of a mixed sequence.

    A text token has its running position on all three axes. A vision block that begins at
    position s has, for the token in frame k, row i and column j of its merged grid,

    .. math:: t = s + \lfloor k \Delta \rfloor, \qquad h = s + i, \qquad w = s + j

    frame by frame and row by row. In which position the next block begins, two conventions differ:

    ==============  =========================================  ===================================
    next_start      next block begins at                       used by
    ==============  =========================================  ===================================
    ``"side"``      s + max(H, W) / merge                      Transformers from 5.5 on
    ``"maximum"``   1 + the largest position of any axis       Transformers to 5.0, vLLM 0.33
    ==============  =========================================  ===================================

    They agree unless a video's last frame lies past its spatial grid.

    Parameters
    ----------
    blocks : iterable of int or of sequence
        In the order of the tokens: an int n is a run of n text tokens, a sequence (T, H, W) or
        (T, H, W, interval) an image or a video of T frames of H by W patches, before merging in
        space and after any merging in time. The interval is Delta, 1 by default; Qwen2.5-VL's
        videos have tokens_per_second times the seconds a frame. Qwen3-VL has one block (1, H, W)
        a frame, with the text of its time stamp between two of them.
    spatial_merge_size : int, default 2
        Patches along a side that the language model sees as one token.
    next_start : {"side", "maximum"}, default "side"
        The convention.

    Returns
    -------
    ndarray of int64, shape (3, tokens)
        Axes t, h, w.

    Raises
    ------
    TypeError, ValueError
        If a block or an option has another type, form or range, or a grid does not merge evenly.

    Notes
    -----
    The product of frame and interval is rounded to float32 before it is truncated, as torch does
    it; with an interval such as 0.7 this decides whether frame 10 is at 6 or at 7.

    References
    ----------
    .. [1] Wang et al., "Qwen2-VL", 2024, arXiv:2409.12191, section 2.1, M-RoPE.
    .. [2] Transformers 5.24, models/qwen2_5_vl: ``get_rope_index``.

    Examples
    --------
    >>> mrope_positions([2, (1, 4, 6), 1]).tolist()  # two words, an image, a word
    [[0, 1, 2, 2, 2, 2, 2, 2, 5], [0, 1, 2, 2, 2, 3, 3, 3, 5], [0, 1, 2, 3, 4, 2, 3, 4, 5]]
    """
    merge = positive_int(spatial_merge_size, "spatial_merge_size")
    check_choice(next_start, NEXT_STARTS, "next_start")
    start, parts = 0, [np.zeros((3, 0), np.int64)]
    for number, block in enumerate(_listed(blocks)):
        if isinstance(block, (tuple, list)) or (isinstance(block, np.ndarray) and block.ndim):
            part, side = _vision(block, merge, f"blocks[{number}]")
        else:
            side = count(block, f"blocks[{number}]")
            part = np.broadcast_to(np.arange(side, dtype=np.int64), (3, side))
        check_reach(start, int(part.max(initial=0)), f"blocks[{number}]")
        parts.append(start + part)
        start += side if next_start == "side" else int(part.max(initial=-1)) + 1
    return np.concatenate(parts, axis=1)


def mrope_delta(position_ids: ArrayLike) -> int:
    """Return what is added to a token's index to get its position when decoding goes on.

    Parameters
    ----------
    position_ids : array-like of int, shape (axes, tokens)
        Those of the whole prompt, from `mrope_positions`.

    Returns
    -------
    int
        1 + the largest position, less the number of tokens; called rope_deltas in Transformers.

    Raises
    ------
    TypeError, ValueError
        If the positions have another type or shape.

    Examples
    --------
    >>> ids = mrope_positions([2, (1, 4, 6), 1])
    >>> mrope_delta(ids), ids.shape[1] + mrope_delta(ids)  # the tenth token is at position 6
    (-3, 6)
    """
    ids = integers(position_ids, "position_ids")
    if ids.ndim != 2:
        msg = f"position_ids: expected shape (axes, tokens); got {ids.shape}; pass one sequence"
        raise ValueError(msg)
    return int(ids.max(initial=-1) + 1 - ids.shape[1])


def _listed(blocks: object) -> Iterable[Any]:
    no_list = isinstance(blocks, (str, bytes, dict, set)) or getattr(blocks, "ndim", 1) == 0
    if no_list or not isinstance(blocks, Iterable):
        msg = f"blocks: expected a list of text lengths and vision grids; got {blocks!r}"
        raise TypeError(msg)
    return blocks


def _vision(
    block: Sequence[Any] | NDArray[Any], merge: int, name: str
) -> tuple[NDArray[np.int64], int]:
    """Return positions of a vision block that begins at 0, and its larger side, merged."""
    if len(block) not in (3, 4):
        msg = f"{name}: expected n, (T, H, W) or (T, H, W, interval); got {block!r}"
        raise ValueError(msg)
    frames, height, width = (
        positive_int(value, f"{name}[{i}]") for i, value in enumerate(block[:3])
    )
    for i, side in ((1, height), (2, width)):
        if side % merge:
            msg = (
                f"{name}[{i}]: expected a multiple of spatial_merge_size {merge}; got {side}; "
                f"count patches before merging"
            )
            raise ValueError(msg)
    interval = finite_real(block[3], f"{name}[3]", above=0.0) if len(block) == 4 else 1.0
    grid = video_grid(frames, height // merge, width // merge)
    if interval != 1.0:
        _check_times(frames, interval, name)
        grid[0] = (grid[0].astype(np.float32) * np.float32(interval)).astype(np.int64)
    return grid, max(height, width) // merge


def _check_times(frames: int, interval: float, name: str) -> None:
    if frames * interval >= LARGEST:
        msg = f"{name}[3]: expected times below 2**63; got {frames} frames of {interval!r}"
        raise ValueError(msg)
