"""Angles of coordinates that are no integers, with a stated error.

`ropelab.cos_sin` takes integers, whose phases it keeps exact. Coordinates that a training run
shifts, jitters or rescales at random (DINOv3, arXiv:2508.10104) can be none, and these functions
are for them: small coordinates, near 1, of which float64 is enough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_reals
from .common import integers
from .grids import centred_grid

__all__ = ["coordinate_angles", "patch_centres"]


def patch_centres(height: int, width: int) -> NDArray[np.float64]:
    """Return the centres of an image's patches, each side mapped to [-1, 1].

    Parameters
    ----------
    height, width : int
        Patches down and across.

    Returns
    -------
    ndarray of float64, shape (2, height * width)
        Rows, then columns; each correctly rounded.

    Raises
    ------
    TypeError, ValueError
        If an argument is no positive integer.

    Examples
    --------
    >>> patch_centres(1, 4).tolist()
    [[0.0, 0.0, 0.0, 0.0], [-0.75, -0.25, 0.25, 0.75]]
    """
    return centred_grid(height, width) / np.array([[height], [width]], np.float64)


def coordinate_angles(
    coordinates: ArrayLike, inv_freq: ArrayLike, axes: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Return the angle of each pair at real coordinates, in radians.

    The error is one rounding, :math:`|\delta\varphi| \le 2^{-53} |\varphi|`, apart from those of
    the coordinates themselves: it grows with the angle, unlike that of exact phases.
    `ropelab.apply_rotary_cached` takes the cos and sin.

    Parameters
    ----------
    coordinates : array-like of float, shape (axes, ...)
        Finite; one row an axis.
    inv_freq : array-like of float, shape (d/2,)
        Radians per unit of a coordinate, such as a Spectrum's.
    axes : array-like of int, shape (d/2,), optional
        Which row turns each pair, such as a Spectrum's; by default the first.

    Returns
    -------
    ndarray of float64, shape (..., d/2)
        Angles.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, or a number is not finite.

    Examples
    --------
    >>> coordinate_angles([[0.5, -0.25], [0.0, 3.0]], [2.0, 1.0], [0, 1]).tolist()
    [[1.0, 0.0], [-0.5, 3.0]]
    """
    points, speeds = as_reals(coordinates, "coordinates"), as_reals(inv_freq, "inv_freq")
    if speeds.ndim != 1 or points.ndim == 0:
        name, shape = ("inv_freq", speeds.shape) if points.ndim else ("coordinates", points.shape)
        expected = "(d/2,)" if points.ndim else "(axes, ...)"
        msg = f"{name}: expected shape {expected}; got {shape}"
        raise ValueError(msg)
    rows = np.zeros(speeds.size, np.int64) if axes is None else integers(axes, "axes")
    if rows.shape != speeds.shape or (
        rows.size and not 0 <= rows.min() <= rows.max() < len(points)
    ):
        msg = (
            f"axes: expected a row of {len(points)} coordinates for each of {speeds.size} pairs; "
            f"got {rows.tolist()}"
        )
        raise ValueError(msg)
    for values, name in ((points, "coordinates"), (speeds, "inv_freq")):
        if not np.isfinite(values).all():
            msg = f"{name}: expected finite numbers; got {values[~np.isfinite(values)][0]}"
            raise ValueError(msg)
    return np.moveaxis(points[rows], 0, -1) * speeds
