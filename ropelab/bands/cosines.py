"""Each pair's turn at a distance, as a point of the unit circle, and the sum over a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..checks import check_position_axes, check_rope, positive_int
from ..phases import cos_sin_values
from ..rope import Rope

__all__ = [
    "by_distance",
    "cosine_sum",
    "on_axes",
    "on_every_axis",
    "pair_cosines",
    "rows_of",
    "unit_turns",
    "unrotated_pairs",
]

_T = TypeVar("_T", bound=np.generic)

_AT_ONCE = 1 << 16  # cosines, lest a million distances ask for gigabytes


def unit_turns(
    rope: Rope, distances: ArrayLike, *, seq_len: int | None = None, name: str = "distances"
) -> NDArray[np.complex128]:
    r"""Return :math:`e^{i m \omega_k}` of each pair at each distance m, without the amplitude.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    distances : array-like of int, any shape
        Tokens between query and key; if the rope has several position axes, the first axis counts
        them.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.
    name : str, default "distances"
        What messages call the distances.

    Returns
    -------
    ndarray of complex128, shape distances.shape + (d/2,)
        Points of the unit circle, from exact phases.
    """
    return by_distance(rope, distances, lambda turns: turns, seq_len=seq_len, name=name)


def by_distance(
    rope: Rope,
    distances: ArrayLike,
    reduce: Callable[[NDArray[np.complex128]], NDArray[_T]],
    *,
    seq_len: int | None = None,
    name: str = "distances",
) -> NDArray[_T]:
    """Return what a function makes of (rows, d/2) unit turns, in the distances' shape."""
    check_rope(rope)
    spectrum = replace(rope.spectrum(seq_len), attention_factor=1.0)
    positions = as_integers(distances, name)
    axes = spectrum.position_axes
    check_position_axes(positions.shape, axes, name=name)
    lead = () if axes == 1 else (axes,)
    shape = positions.shape[len(lead) :]
    rows = positions.reshape(*lead, -1)
    parts, count = [], rows_of(spectrum.inv_freq.size)
    for first in range(0, max(rows.shape[-1], 1), count):
        cos, sin = cos_sin_values(rows[..., first : first + count], spectrum, "exact")
        parts.append(reduce(cos + 1j * sin))
    whole = np.concatenate(parts)
    return whole.reshape((*shape, *whole.shape[1:]))


def rows_of(pairs: int) -> int:
    """Return how many distances of so many pairs are taken at once."""
    return max(_AT_ONCE // pairs, 1)


def on_every_axis(rope: Rope, distances: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return distances with the axes of a rope, the same on each, as between tokens of text."""
    return on_axes(rope.spectrum().position_axes, distances)


def on_axes(axes: int, distances: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return distances with so many axes, the same on each; one alone is left out."""
    return distances if axes == 1 else np.broadcast_to(distances, (axes, *distances.shape))


def pair_cosines(
    rope: Rope, distances: ArrayLike, *, seq_len: int | None = None
) -> NDArray[np.float64]:
    r"""Cosine of the angle that each pair turns over a distance, :math:`\cos m\omega_i`.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    distances : array-like of int, any shape
        Tokens m between query and key; if the rope has several position axes, the first axis
        counts them.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape distances.shape + (d/2,)
        Without the amplitude of the rule.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the distances lack the rope's axes.

    Examples
    --------
    >>> from ropelab import Rope
    >>> pair_cosines(Rope(4), [0, 377]).round(3).tolist()
    [[1.0, 1.0], [1.0, -0.809]]
    """
    return by_distance(rope, distances, lambda turns: turns.real, seq_len=seq_len)


def unrotated_pairs(rope: Rope, head_dim: int | None = None) -> float:
    """Return half the channels of a head that are not rotated: what they add to a sum of cosines.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    head_dim : int, optional
        Channels of the whole head; by default ``rope.head_dim``.

    Returns
    -------
    float
        Pairs, or an odd half.

    Raises
    ------
    TypeError, ValueError
        If `head_dim` is no integer, or less than the channels that are rotated.
    """
    check_rope(rope)
    width = positive_int(rope.head_dim if head_dim is None else head_dim, "head_dim")
    if width < rope.rotary_dim:
        msg = f"head_dim: expected at least rotary_dim = {rope.rotary_dim}; got {width}"
        raise ValueError(msg)
    return (width - rope.rotary_dim) / 2.0


def cosine_sum(
    rope: Rope,
    distances: ArrayLike,
    *,
    head_dim: int | None = None,
    seq_len: int | None = None,
) -> NDArray[np.float64]:
    r"""Sum of the cosines of a whole head at a distance: whether like attracts like there.

    .. math:: B(m) = \frac{D - d}{2} + \sum_{i=0}^{d/2-1} \cos m\omega_i

    D are the channels of the head and d those rotated: two that are not add 1 at every distance.
    For a key that is the query plus independent noise the expected score, less that of a random
    key, is :math:`2\sigma^2 B(m)`, if the components have variance :math:`\sigma^2`. Where B is
    negative, a model prefers random keys to similar ones.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    distances : array-like of int, any shape
        Tokens m between query and key; if the rope has several position axes, the first axis
        counts them.
    head_dim : int, optional
        Channels of the whole query or key, those that are not rotated included; by default
        ``rope.head_dim``. Multi-head latent attention has more, ``qk_nope_head_dim`` besides.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape distances.shape
        From D/2 - d to D/2, without the amplitude of the rule.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, the distances lack the rope's axes, or `head_dim` is less
        than the rotated channels.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591, the condition
       on the base; Su, https://kexue.fm/archives/10122.

    Examples
    --------
    >>> from ropelab import Rope
    >>> cosine_sum(Rope(128), [0, 1706, 1707]).round(3).tolist()
    [64.0, 0.069, -0.499]

    Of a head of 256 channels, half of which turn, the others outweigh them.

    >>> cosine_sum(Rope(256, rotary_dim=128), [0, 1706, 1707]).round(3).tolist()
    [128.0, 64.069, 63.501]
    """
    still = unrotated_pairs(rope, head_dim)
    return by_distance(
        rope, distances, lambda turns: still + turns.real.sum(axis=-1), seq_len=seq_len
    )
