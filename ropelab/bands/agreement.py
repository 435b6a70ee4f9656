"""Scores in closed form: of a query and a key, and of one vector under two embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_array, as_reals
from ..checks import check_channels, check_rope
from ..layouts import pair_channels
from ..rope import Rope
from .cosines import by_distance, unit_turns
from .quotients import check_same_pairs

__all__ = ["pair_products", "peak_phases", "score", "similarity"]


def pair_products(
    q: ArrayLike, k: ArrayLike, *, layout: str = "half"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Amplitude and phase of each pair's product of a query and a key, :math:`q_i \bar k_i`.

    Parameters
    ----------
    q, k : array-like of float, shape (..., d)
        Rotated channels of unrotated vectors.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair, the real and the imaginary part.

    Returns
    -------
    amplitudes, phases : ndarray of float64, shape (..., d/2)
        Phases in radians, from :math:`-\pi` to :math:`\pi`; to be given to `score`.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the vectors differ in width or have an odd one.

    References
    ----------
    .. [1] Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.3, eq. 35.

    Examples
    --------
    >>> amplitudes, phases = pair_products([1.0, 0.0], [0.0, 2.0])
    >>> amplitudes.tolist(), phases.round(4).tolist()
    ([2.0], [-1.5708])
    """
    query, key = as_reals(q, "q"), as_reals(k, "k")
    _, d = check_channels(query.shape, None, -1, "q") if query.ndim else (0, 0)
    if not d or key.shape[-1:] != (d,):
        msg = f"k: expected the channels of q, the last axis of {query.shape}; got {key.shape}"
        raise ValueError(msg)
    first, second = pair_channels(layout, d)
    product = (query[..., first] + 1j * query[..., second]) * (
        key[..., first] - 1j * key[..., second]
    )
    return np.abs(product), np.angle(product)


def score(
    rope: Rope,
    distances: ArrayLike,
    *,
    amplitudes: ArrayLike | None = None,
    phases: ArrayLike | None = None,
    seq_len: int | None = None,
) -> NDArray[np.float64]:
    r"""Product of a rotated query and a rotated key, by their distance.

    .. math:: (R_m q) \cdot k = A^2 \sum_i a_i \cos (m\omega_i + \varphi_i), \qquad
              q_i \bar k_i = a_i e^{i\varphi_i}

    A is the amplitude of the rule. Only phases of 0 decay from distance 0 on: for independent
    Gaussian q and k the expectation is 0 at every distance, and with `peak_phases` the score peaks
    wherever one likes.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    distances : array-like of int, any shape
        Tokens m by which the query is behind the key; if the rope has several position axes, the
        first axis counts them.
    amplitudes : array-like of float, shape (d/2,), optional
        a of each pair; by default 1.
    phases : array-like of float, shape (d/2,), optional
        :math:`\varphi` of each pair in radians; by default 0, a key like the query.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape distances.shape
        Before the softmax scale.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape.

    References
    ----------
    .. [1] Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.3, eq. 35.
    .. [2] Barbero et al., "Round and Round We Go!", 2024, arXiv:2410.06205: no decay for Gaussian
       vectors, and a key for every distance.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(128)
    >>> peaked = score(rope, [0, 500, 1000], phases=peak_phases(rope, 500))
    >>> peaked.round(1).tolist()
    [19.1, 64.0, 19.1]
    """
    check_rope(rope)
    pairs = rope.rotary_dim // 2
    lengths = _by_pair(amplitudes, "amplitudes", 1.0, pairs)
    weights = lengths * np.exp(1j * _by_pair(phases, "phases", 0.0, pairs))
    factor = rope.spectrum(seq_len).attention_factor ** 2

    return by_distance(
        rope, distances, lambda turns: factor * (turns @ weights).real, seq_len=seq_len
    )


def peak_phases(rope: Rope, distance: ArrayLike, *, seq_len: int | None = None) -> NDArray[Any]:
    r"""Phases that bring all pairs into line at one distance, :math:`-m\omega_i`.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    distance : int
        Where the score is to be largest, in tokens; one for each axis if the rope has several.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        Radians, from :math:`-\pi` to :math:`\pi`.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the distance has more than its axes.

    References
    ----------
    .. [1] Barbero et al., "Round and Round We Go!", 2024, arXiv:2410.06205: a key exists for
       every distance at which a score is to be largest.

    Examples
    --------
    >>> from ropelab import Rope
    >>> peak_phases(Rope(4), 2).tolist()
    [-2.0, -0.02]
    """
    turns = unit_turns(rope, distance, seq_len=seq_len, name="distance")
    if turns.ndim != 1:
        msg = f"distance: expected one distance; got shape {as_array(distance, 'distance').shape}"
        raise ValueError(msg)
    return -np.angle(turns)


def similarity(
    a: Rope, b: Rope, positions: ArrayLike, *, seq_len: int | None = None
) -> NDArray[np.float64]:
    r"""Cosine similarity of one vector rotated by `a` and by `b`, in closed form.

    .. math:: \frac{2}{d} \sum_i \cos m\,(\omega^a_i - \omega^b_i)

    for a vector whose pairs are of equal length. It is 1 where two implementations agree, and
    says how far they part by position; amplitudes do not enter.

    Parameters
    ----------
    a, b : Rope
        Two readings of one model; as many pairs and position axes in both.
    positions : array-like of int, any shape
        Positions m in tokens; if the ropes have several position axes, the first axis counts them.
    seq_len : int, optional
        Length of the sequence in tokens, for rules that depend on it.

    Returns
    -------
    ndarray of float64, shape positions.shape
        From -1 to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the two differ in pairs or axes.

    References
    ----------
    .. [1] Measured for a Llama 3.1 read without its scaling in
       https://github.com/Blaizzy/mlx-vlm/pull/1710.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Llama3
    >>> rule = Llama3(8.0, 1.0, 4.0, 8192)
    >>> plain, scaled = Rope(128, base=5e5), Rope(128, base=5e5, scaling=rule)
    >>> similarity(plain, scaled, [0, 8192]).round(3).tolist()
    [1.0, 0.769]
    """
    check_same_pairs(a, b)
    axes = [rope.spectrum(seq_len).position_axes for rope in (a, b)]
    if axes[0] != axes[1]:
        msg = f"b: expected the {axes[0]} position axes of a; got {axes[1]}"
        raise ValueError(msg)
    turned = unit_turns(a, positions, seq_len=seq_len, name="positions")
    other = unit_turns(b, positions, seq_len=seq_len, name="positions")
    return np.asarray((turned * other.conj()).real.mean(axis=-1))


def _by_pair(
    values: ArrayLike | None, name: str, default: float, pairs: int
) -> NDArray[np.float64]:
    given = np.full(pairs, default) if values is None else as_reals(values, name)
    if given.shape != (pairs,) or not np.isfinite(given).all():
        msg = f"{name}: expected a finite number for each of {pairs} pairs; got shape {given.shape}"
        raise ValueError(msg)
    return given
