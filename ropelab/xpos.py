r"""xPos: a rotation, and a decay that grows with the distance of query and key.

Pair i of d/2 is also multiplied by a power of

.. math:: \zeta_i = \frac{2i/d + \gamma}{1 + \gamma} = \frac{2i + 0.4 d}{1.4 d}, \qquad \gamma = 0.4

(Sun et al., A Length-Extrapolatable Transformer, 2022, arXiv:2212.10554): queries at position m by
:math:`\zeta_i^{(m - c)/B}`, keys at n by the inverse of theirs. The product of both holds
:math:`\zeta_i^{(m - n)/B}`, whatever the centre c; a query or a key alone depends on it.
Implementations differ in c: for L tokens it is ceil(L/2) in torchscale, L // 2 in flash-attention
and in lucidrains' package. With a cache of keys it must stay what it was when they were stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_floats, as_integers
from .checks import check_same_tokens, finite_real, integer, positive_int, token_shape
from .pairs import Placement, Storage, cos_sin_by_token, turned
from .positions.token_positions import PositionIds, check_listed, token_positions
from .spectrum import Spectrum, check_spectrum

__all__ = ["apply_xpos_qk", "check_decay", "xpos_scale"]

_SMALLEST = float(np.finfo(np.float64).tiny)


def xpos_scale(
    position_ids: ArrayLike, rotary_dim: int, *, scale_base: float = 512.0, centre: int = 0
) -> NDArray[np.float64]:
    r"""Return what multiplies queries, and divides keys, at each position.

    .. math:: \zeta_i^{(m - c)/B}, \qquad \zeta_i = \frac{2i + 0.4 d}{1.4 d}

    Parameters
    ----------
    position_ids : array-like of int, any shape
        Positions in tokens.
    rotary_dim : int
        Number of rotated channels d; even.
    scale_base : float, default 512.0
        Tokens B after which a pair has decayed by its whole base.
    centre : int, default 0
        Position c at which the factor is 1.

    Returns
    -------
    ndarray of float64, shape position_ids.shape + (d/2,)
        One factor a pair.

    Raises
    ------
    TypeError
        If the positions or the centre are not integers.
    ValueError
        If `scale_base` is not positive, or a factor or its inverse leaves float64's range: from
        290,000 tokens off the centre on if B is 512.

    Examples
    --------
    >>> xpos_scale([0, 512], 4).round(6).tolist()
    [[1.0, 1.0], [0.285714, 0.642857]]
    """
    check_listed(position_ids)
    positions = as_integers(position_ids, "position_ids")
    d = positive_int(rotary_dim, "rotary_dim", even=True)
    unit, middle = _decay(scale_base, centre)
    i = np.arange(d // 2)
    zeta = (10 * i + 2 * d) / (7 * d)  # numerator and denominator times five: whole numbers
    distance = _distance(positions, middle)
    with np.errstate(over="ignore", under="ignore"):
        scale: NDArray[np.float64] = zeta ** (distance / unit)[..., np.newaxis]
    if scale.size and not (scale.min() >= _SMALLEST and scale.max() <= 1.0 / _SMALLEST):
        msg = (
            f"position_ids: expected distances from the centre whose scale and its inverse are "
            f"normal float64 numbers; got up to {np.abs(distance).max():.0f} tokens from "
            f"{middle}; choose a nearer centre or a larger scale_base"
        )
        raise ValueError(msg)
    return scale


def check_decay(spectrum: Spectrum, scale_base: object, centre: object) -> tuple[float, int]:
    """Return the scale base and the centre as a float and an int, or raise unless they fit.

    Parameters
    ----------
    spectrum : Spectrum
        Of one position axis.
    scale_base, centre : object
        As a caller said them; unchecked.

    Returns
    -------
    scale_base : float
        Positive.
    centre : int
        One that a float64 reaches.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If the spectrum has several axes, or a number is out of range.

    Examples
    --------
    >>> check_decay(Spectrum([1.0, 0.5]), 512, 7)
    (512.0, 7)
    """
    check_spectrum(spectrum)
    if spectrum.position_axes > 1:
        msg = (
            f"spectrum: xPos decays along one position axis; got {spectrum.position_axes}; "
            f"rotate by apply_rotary_qk, which knows several"
        )
        raise ValueError(msg)
    return _decay(scale_base, centre)


def _decay(scale_base: object, centre: object) -> tuple[float, int]:
    unit, middle = finite_real(scale_base, "scale_base", above=0.0), integer(centre, "centre")
    finite_real(middle, "centre")
    return unit, middle


def _distance(positions: NDArray[Any], centre: int) -> NDArray[np.float64]:
    """Return the distance from the centre; exact, even where a float64 skips integers."""
    far = positions.astype(np.float64) - finite_real(centre, "centre")
    near = positions.astype(np.uint64) - np.uint64(centre % 2**64)  # modulo 2**64
    return np.where(np.abs(far) < 2.0**62, near.view(np.int64).astype(np.float64), far)


def apply_xpos_qk(
    q: ArrayLike,
    k: ArrayLike,
    position_ids: PositionIds,
    spectrum: Spectrum,
    *,
    scale_base: float = 512.0,
    centre: int = 0,
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    dtype: DTypeLike | None = None,
    scale: float | tuple[float, float] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate queries and keys of the same tokens, and scale them as xPos does.

    Parameters
    ----------
    q, k : array-like of float
        As in `ropelab.apply_rotary_qk`.
    position_ids : array-like of int, broadcastable to (batch, sequence) or (tokens,)
        Position of each token, or an object, as in `ropelab.apply_rotary`. To rotate keys that
        come later, pass the same `centre`.
    spectrum : Spectrum
        Frequencies and attention factor, of one position axis.
    scale_base : float, default 512.0
        Tokens B after which a pair has decayed by its whole base.
    centre : int, default 0
        Position at which nothing is scaled; see `xpos_scale`.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair; torchscale's are interleaved.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `ropelab.apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline. The decay is float64 in both.
    inverse : bool, default False
        Rotate by minus the position and decay alike: the transpose, which is also the backward
        pass. It does not undo the decay; that does the transpose of q and k in each other's place.
    dtype : dtype-like, optional
        As in `ropelab.apply_rotary`, of both results.
    scale : float or (float, float), optional
        As in `ropelab.apply_rotary_qk`: what a stored number is multiplied by to read it back. It
        has nothing to do with the decay.

    Returns
    -------
    q, k : ndarray
        The rotated and scaled tensors, each rounded once.

    Raises
    ------
    TypeError
        If a dtype is not supported.
    ValueError
        If a shape or an option does not fit, or a position lies too far from the centre.

    Examples
    --------
    >>> from ropelab import Rope
    >>> x = np.ones((1, 1, 1, 2))
    >>> q, k = apply_xpos_qk(x, x, 512, Rope(2).spectrum())
    >>> q.ravel().round(6).tolist(), k.ravel().round(6).tolist()
    ([-0.307529, -0.26209], [-3.767232, -3.210602])
    """
    queries, keys = as_floats(q, "q"), as_floats(k, "k")
    check_same_tokens(queries.shape, keys.shape, tensor_format)
    check_decay(spectrum, scale_base, centre)
    shape = queries.shape
    positions = token_positions(position_ids, token_shape(shape, tensor_format, "q"))
    cos, sin = cos_sin_by_token(shape, "q", positions, spectrum, tensor_format, angles)
    decay = xpos_scale(positions, spectrum.rotary_dim, scale_base=scale_base, centre=centre)
    place = Placement(tensor_format, layout, inverse=inverse)
    q_storage, k_storage = Storage.of_both(dtype, scale)
    return (
        turned(queries, cos * decay, sin * decay, place, q_storage),
        turned(keys, cos / decay, sin / decay, place, k_storage),
    )
