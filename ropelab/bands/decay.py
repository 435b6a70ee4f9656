"""Long-term decay: the bounds that are cited for it, and pairs that do not decay at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_rope, finite_real, positive_int
from ..rope import Rope
from ..scaling import Default
from .cosines import by_distance, unit_turns

__all__ = [
    "average_cosines",
    "decay_bound",
    "extrapolation_bound",
    "interpolation_bound",
    "partial_sums",
]


def partial_sums(
    rope: Rope, distances: ArrayLike, *, seq_len: int | None = None
) -> NDArray[np.complex128]:
    r"""Return the sums of the first 1, 2, ..., d/2 pairs' unit turns at a distance.

    .. math:: S_j(m) = \sum_{k=0}^{j-1} e^{i m \omega_k}, \qquad j = 1, \dots, d/2

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
    ndarray of complex128, shape distances.shape + (d/2,)
        Without the amplitude of the rule.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the distances lack the rope's axes.

    References
    ----------
    .. [1] Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.3, eq. 36.

    Examples
    --------
    >>> from ropelab import Rope
    >>> partial_sums(Rope(6), 0).real.tolist()
    [1.0, 2.0, 3.0]
    """
    return np.asarray(np.cumsum(unit_turns(rope, distances, seq_len=seq_len), axis=-1))


def decay_bound(
    rope: Rope, distances: ArrayLike, *, seq_len: int | None = None
) -> NDArray[np.float64]:
    r"""RoFormer's bound on a score at a distance: the mean length of the partial sums.

    .. math:: \frac{1}{d/2} \sum_{j=1}^{d/2} |S_j(m)|, \qquad
              |q \cdot R_m k| \le \max_i |h_{i+1} - h_i| \sum_{j=1}^{d/2} |S_j(m)|

    with :math:`h_i = q_i \bar k_i` as complex numbers, and :math:`h_{d/2} = 0`. It falls with the
    distance on the whole, but not steadily; and it bounds a score without saying that any score
    comes near: see `score` for one that peaks wherever it is told to.

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
    ndarray of float64, shape distances.shape
        From 0 to (d/2 + 1) / 2, which it is at distance 0; without the amplitude of the rule.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the distances lack the rope's axes.

    References
    ----------
    .. [1] Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.3, eq. 37 and figure 2.

    Examples
    --------
    >>> from ropelab import Rope
    >>> decay_bound(Rope(128), [1, 16, 1024, 4096]).round(3).tolist()
    [31.538, 15.775, 4.024, 4.883]
    """

    def mean_length(turns: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(np.abs(np.cumsum(turns, axis=-1)).mean(axis=-1))

    return by_distance(rope, distances, mean_length, seq_len=seq_len)


def interpolation_bound(rope: Rope) -> float:
    r"""Bound on the error of a score between two whole positions, as a share of d max|h|.

    .. math:: \left| a(s) - a_{linear}(s) \right| \le \frac{d \max_j |h_j|}{32 \ln b}

    where a is a score as a function of the real distance s, and the other the straight line between
    its values at the two nearest whole distances: positions divided by a factor fall between.

    The theorem puts :math:`d / 4 \ln b` for :math:`\sum_i \omega_i^2 \approx 1 / (1 - b^{-4/d})`,
    to which it tends for many pairs, from below: with 64 pairs and b = 10,000 that sum is 15 %
    larger, and a score of equal :math:`h_i` passes the printed bound by 6 % at s = 1/2.

    Parameters
    ----------
    rope : Rope
        Its base is b; the rule is not read.

    Returns
    -------
    float
        :math:`1 / (32 \ln b)`.

    Raises
    ------
    TypeError, ValueError
        If `rope` is no Rope, or its base not above 1.

    References
    ----------
    .. [1] Chen et al., "Extending Context Window of Large Language Models via Position
       Interpolation", 2023, arXiv:2306.15595, theorem 2.1.

    Examples
    --------
    >>> from ropelab import Rope
    >>> round(1.0 / interpolation_bound(Rope(128)), 4)
    294.7309
    """
    check_rope(rope)
    return 1.0 / (32.0 * math.log(finite_real(rope.base, "base", above=1.0)))


def extrapolation_bound(rope: Rope, distances: ArrayLike) -> NDArray[np.float64]:
    r"""Bound on a score at a distance, as a share of d max|h|.

    .. math:: |a(s)| \le 2 \max_j |h_j| \sum_{j=1}^{d/2} |S_j(s)| = 2 \max_j |h_j|\,B(s)

    Over `interpolation_bound` it is :math:`64 \ln b\,B(s) / d`: the "at least 600 times" of the
    paper is 589.5 for b = 10,000 where :math:`B(s) \ge d`, which holds up to s = 4860.

    Parameters
    ----------
    rope : Rope
        The rotary embedding; its rule is not read.
    distances : array-like of int, any shape
        Tokens s between query and key; if the rope has several position axes, the first axis
        counts them.

    Returns
    -------
    ndarray of float64, shape distances.shape
        :math:`2 B(s) / d`.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, or the distances lack the rope's axes.

    References
    ----------
    .. [1] Chen et al., "Extending Context Window of Large Language Models via Position
       Interpolation", 2023, arXiv:2306.15595, section 2.3.

    Examples
    --------
    >>> from ropelab import Rope
    >>> bound = extrapolation_bound(Rope(128), [4860, 4861])
    >>> (bound / 2).round(5).tolist()
    [1.01783, 0.99598]
    """
    check_rope(rope)
    return decay_bound(replace(rope, scaling=Default()), distances)  # 2 B / d is its mean


def average_cosines(
    rope: Rope, context_length: int, *, seq_len: int | None = None
) -> NDArray[np.float64]:
    r"""Mean over a context of each pair's cosine: 1 where distance changes nothing.

    .. math:: \frac{1}{L} \sum_{m=0}^{L-1} \cos m\omega_i =
              \frac{\sin (L \omega_i / 2) \cos ((L - 1)\,\omega_i / 2)}{L \sin (\omega_i / 2)}

    A pair that turns often averages to nothing; one that stands still, or moves little within the
    context, is the same at every distance and carries content without position. p-RoPE, HoPE and
    NoPE raise the number of those; their mean is the level at which the mean cosine stops falling.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    context_length : int
        Length L of the context in tokens; positive.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        From -1 to 1.

    Raises
    ------
    TypeError, ValueError
        If `context_length` is not a positive integer.

    References
    ----------
    .. [1] Barbero et al., "Round and Round We Go!", 2024, arXiv:2410.06205, which slow pairs a
       model uses for content.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Proportional
    >>> average_cosines(Rope(8, scaling=Proportional(0.5)), 100).round(3).tolist()
    [-0.004, -0.045, 1.0, 1.0]
    """
    check_rope(rope)
    length = positive_int(context_length, "context_length")
    half = rope.spectrum(seq_len).inv_freq / 2.0
    sine = np.sin(half)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.sin(length * half) / (length * sine) * np.cos((length - 1) * half)
    return np.where(sine == 0.0, 1.0, means)
