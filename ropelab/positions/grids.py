"""Positions of patches on a grid, in integers.

Axes come in the order of `ropelab.positions`: frame, row, column. Which of row and column turns
the first channels differs between models, and is named where the channels are: in
``ropelab.scaling.Axial(order=...)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..checks import positive_int

__all__ = ["centred_grid", "image_grid", "llama4_grid", "video_grid"]

_MERGE = "spatial_merge_size"


def image_grid(height: int, width: int, *, spatial_merge_size: int = 1) -> NDArray[np.int64]:
    """Return row and column of each patch of an image.

    With ``spatial_merge_size=1`` patches go row by row: Pixtral, EVA-02, Kimi. Qwen's vision
    towers, and others whose language model sees m by m patches as one token, order them block by
    block, and row by row within a block and among blocks.

    Parameters
    ----------
    height, width : int
        Patches down and across.
    spatial_merge_size : int, default 1
        Side m of a block, 2 in Qwen2-VL.

    Returns
    -------
    ndarray of int64, shape (2, height * width)
        Rows, then columns.

    Raises
    ------
    TypeError, ValueError
        If an argument is no positive integer, or a side no multiple of the block's.

    References
    ----------
    .. [1] Transformers 5.24, vision_utils: ``get_vision_position_ids``.

    Examples
    --------
    >>> image_grid(2, 3).tolist()
    [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]
    >>> image_grid(2, 4, spatial_merge_size=2).tolist()
    [[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 2, 3, 2, 3]]
    """
    return video_grid(1, height, width, spatial_merge_size=spatial_merge_size)[1:]


def video_grid(
    frames: int, height: int, width: int, *, spatial_merge_size: int = 1
) -> NDArray[np.int64]:
    """Return frame, row and column of each patch of a video.

    Its last two rows are what a two-axis tower such as Qwen2-VL's takes, the same in each frame.

    Parameters
    ----------
    frames : int
        Patches along time.
    height, width : int
        Patches down and across.
    spatial_merge_size : int, default 1
        As in `image_grid`.

    Returns
    -------
    ndarray of int64, shape (3, frames * height * width)
        Frames, rows, columns; frame after frame.

    Raises
    ------
    TypeError, ValueError
        As `image_grid` does.

    Examples
    --------
    >>> video_grid(2, 1, 3).tolist()
    [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 1, 2, 0, 1, 2]]
    """
    count, block = positive_int(frames, "frames"), positive_int(spatial_merge_size, _MERGE)
    rows, columns = positive_int(height, "height"), positive_int(width, "width")
    for side, name in ((rows, "height"), (columns, "width")):
        if side % block:
            msg = f"{name}: expected a multiple of {_MERGE} {block}; got {side}; pad the image"
            raise ValueError(msg)
    grid = np.indices((count, rows, columns), dtype=np.int64)
    blocks = grid.reshape(3, count, rows // block, block, columns // block, block)
    return blocks.swapaxes(3, 4).reshape(3, -1)


def llama4_grid(side: int) -> NDArray[np.int64]:
    """Return row and column of each patch of Llama 4's vision tower, and of its class token.

    Patches count from 1. The class token, the last, has angle 0 and so position 0 on both axes.
    In its rope the column turns the first half of the channels: ``Axial(order="wh")``.

    Parameters
    ----------
    side : int
        Patches down, and as many across: image_size / patch_size.

    Returns
    -------
    ndarray of int64, shape (2, side**2 + 1)
        Rows, then columns.

    Raises
    ------
    TypeError, ValueError
        If `side` is no positive integer.

    References
    ----------
    .. [1] Transformers 5.24, models/llama4: ``Llama4VisionRotaryEmbedding``.

    Examples
    --------
    >>> llama4_grid(2).tolist()
    [[1, 1, 2, 2, 0], [1, 2, 1, 2, 0]]
    """
    grid = image_grid(positive_int(side, "side"), side) + 1
    return np.concatenate([grid, np.zeros((2, 1), np.int64)], axis=1)


def centred_grid(height: int, width: int) -> NDArray[np.int64]:
    r"""Return DINOv3's coordinates as integers.

    DINOv3 maps the centre of patch j of n to [-1, 1] and turns pair k by
    :math:`2\pi\,\omega_k` times that, which in integers is

    .. math:: 2 \frac{j + 1/2}{n} - 1 = \frac{2 j + 1 - n}{n}

    with 1/n and :math:`2\pi` taken into the frequencies: ``Axial(scale=(2 * pi / height,
    2 * pi / width))``.

    Parameters
    ----------
    height, width : int
        Patches down and across, n of each axis.

    Returns
    -------
    ndarray of int64, shape (2, height * width)
        Rows 2 i + 1 - height, then columns 2 j + 1 - width.

    Raises
    ------
    TypeError, ValueError
        If an argument is no positive integer.

    References
    ----------
    .. [1] Simeoni et al., "DINOv3", 2025, arXiv:2508.10104; Transformers 5.24, models/dinov3_vit:
       ``get_patches_center_coordinates``.

    Examples
    --------
    >>> centred_grid(2, 3).tolist()
    [[-1, -1, -1, 1, 1, 1], [-2, 0, 2, -2, 0, 2]]
    """
    sides = np.array([[positive_int(height, "height")], [positive_int(width, "width")]], np.int64)
    grid: NDArray[np.int64] = 2 * image_grid(height, width) + 1 - sides
    return grid
