"""How much of its circle each pair shows within a length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..checks import check_rope, positive_int
from ..rope import Rope
from ..scaling import Default

__all__ = ["completes_turn", "turning", "turns_within", "unseen_angles"]

# Two shares of a turn closer than this, relatively, differ by rounding alone.
_ROUNDING = 8 * np.finfo(np.float64).eps


def turning(rope: Rope, *, seq_len: int | None = None) -> NDArray[np.bool]:
    """Which pairs turn at all.

    A pair that stands still carries no position: p-RoPE and HoPE have such pairs beside others,
    and without a rotary embedding (NoPE) all are.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to look at.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of bool, shape (d/2,)
        False where the frequency is 0.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Proportional
    >>> turning(Rope(8, scaling=Proportional(0.5))).tolist()
    [True, True, False, False]
    """
    check_rope(rope)
    return np.asarray(rope.spectrum(seq_len).inv_freq != 0.0)


def turns_within(
    rope: Rope, context_length: int, *, seq_len: int | None = None
) -> NDArray[np.float64]:
    r"""How many times each pair turns within a context.

    .. math:: r_i = L / \lambda_i = L\,|\omega_i| / 2\pi

    Parameters
    ----------
    rope : Rope
        The rotary embedding to look at.
    context_length : int
        Length L of the context in tokens; positive.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        Turns; 0 for a pair that stands still.

    Raises
    ------
    TypeError, ValueError
        If `context_length` is not a positive integer.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.2: its r(i).

    Examples
    --------
    >>> from ropelab import Rope
    >>> turns_within(Rope(4), 4096).round(3).tolist()
    [651.899, 6.519]
    """
    check_rope(rope)
    context_length = positive_int(context_length, "context_length")
    return np.asarray(context_length / rope.spectrum(seq_len).wavelengths)


def completes_turn(
    rope: Rope, context_length: int, *, seq_len: int | None = None
) -> NDArray[np.bool]:
    """Which pairs turn all the way round within a context.

    A pair that does not has shown the model only part of a circle by the end of the context: every
    longer distance is an angle it has never met.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to look at.
    context_length : int
        Length of the context in tokens; positive.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of bool, shape (d/2,)
        True where one wavelength fits into `context_length`.

    Raises
    ------
    TypeError, ValueError
        If `context_length` is not a positive integer.

    See Also
    --------
    critical_dimension : The channels of the pairs that do, and the next.

    Examples
    --------
    Of Llama-2's 64 pairs, 18 never complete a turn in its 4096 tokens.

    >>> from ropelab import Rope
    >>> turning = completes_turn(Rope(128, base=10_000.0), 4096)
    >>> turning.size - int(turning.sum())
    18
    """
    check_rope(rope)
    context_length = positive_int(context_length, "context_length")
    return np.asarray(rope.spectrum(seq_len).wavelengths <= context_length)


def unseen_angles(
    rope: Rope, trained_length: int, context_length: int, *, seq_len: int | None = None
) -> NDArray[np.bool]:
    r"""Which pairs reach angles in a context that training without scaling has not shown.

    .. math:: \min(1, L / \lambda'_i) > \min(1, L_0 / \lambda_i)

    with :math:`\lambda_i` the wavelengths without scaling and :math:`\lambda'_i` with it. A pair
    that completed a turn in training has shown every angle, whatever its speed now.

    Parameters
    ----------
    rope : Rope
        The rotary embedding as it is used now, its rule included.
    trained_length : int
        Length :math:`L_0` that the model was trained at without the rule, in tokens.
    context_length : int
        Length L that it is used at, in tokens.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of bool, shape (d/2,)
        True for a pair that has to extrapolate.

    Raises
    ------
    TypeError, ValueError
        If a length is not a positive integer.

    References
    ----------
    .. [1] Liu et al., "Scaling Laws of RoPE-based Extrapolation", 2023, arXiv:2310.05209, the
       argument for the critical dimension.

    Examples
    --------
    Llama-2 at twice its length: 18 pairs extrapolate, and none after linear scaling by 2.

    >>> from ropelab import Rope
    >>> from ropelab.scaling import Linear
    >>> int(unseen_angles(Rope(128), 4096, 8192).sum())
    18
    >>> int(unseen_angles(Rope(128, scaling=Linear(2.0)), 4096, 8192).sum())
    0
    """
    check_rope(rope)
    trained_length = positive_int(trained_length, "trained_length")
    unscaled = replace(rope, scaling=Default())
    shown = np.minimum(turns_within(unscaled, trained_length), 1.0)
    reached = np.minimum(turns_within(rope, context_length, seq_len=seq_len), 1.0)
    return np.asarray(reached > shown * (1.0 + _ROUNDING))
