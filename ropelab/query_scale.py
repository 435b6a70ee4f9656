r"""What multiplies the queries at a position, so that attention stays sharp over long contexts.

Unlike the factors of a `Spectrum`, which are constants, it grows with the position, by the
logarithm of the context's length: with a softmax over n keys, scores must grow like log n to stay
as concentrated (Chiang and Cholak, 2022, arXiv:2202.12172). It multiplies whole queries, rotated
or not, and no key; none of it is an angle.

Positions are integers and so are the quotients here: where others divide in float32, a position
past 2**24 may fall on the wrong side of a boundary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_integers
from .checks import finite_real, positive_int

__all__ = ["Llama4Temperature", "LogN", "MinistralTemperature", "QueryScale"]


class QueryScale(ABC):
    """A rule that scales queries by their position: a frozen dataclass of its parameters."""

    def scale(self, position_ids: ArrayLike) -> NDArray[np.float64]:
        """Return what the query of each position is multiplied by.

        Parameters
        ----------
        position_ids : array-like of int, any shape
            Positions in tokens, counted from 0.

        Returns
        -------
        ndarray of float64, shape of `position_ids`
            The factors; 1 up to the length that the rule starts from.

        Raises
        ------
        TypeError
            If the positions are not integers.
        ValueError
            If a position is negative.
        """
        positions = as_integers(position_ids, "position_ids")
        if positions.size and int(positions.min()) < 0:
            msg = (
                f"position_ids: expected positions from 0 on, since a logarithm of them is taken; "
                f"got {int(positions.min())}; shift them"
            )
            raise ValueError(msg)
        return np.asarray(self._factor(positions.astype(np.uint64)))

    @abstractmethod
    def _factor(self, m: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the factors at positions that are known to be valid."""


@dataclass(frozen=True)
class Llama4Temperature(QueryScale):
    r"""Llama 4's attention temperature, in the layers that have no rotary embedding.

    .. math:: 1 + a \ln\left(1 + \left\lfloor \frac{m + 1}{F} \right\rfloor\right)

    as ``Llama4TextAttention`` of Transformers computes it if ``attn_temperature_tuning`` is set.

    Parameters
    ----------
    attn_scale : float, default 0.1
        Growth a of the factor; not negative.
    floor_scale : int, default 8192
        Tokens F between two steps; the first is at position F - 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    Examples
    --------
    >>> Llama4Temperature().scale([8190, 8191, 131_071]).round(7).tolist()
    [1.0, 1.0693147, 1.2833213]
    """

    attn_scale: float = 0.1
    floor_scale: int = 8192

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "attn_scale", _not_negative(self.attn_scale, "attn_scale"))
        object.__setattr__(self, "floor_scale", positive_int(self.floor_scale, "floor_scale"))

    def _factor(self, m: NDArray[np.uint64]) -> NDArray[np.float64]:
        width = np.uint64(self.floor_scale)
        steps = m // width + (m % width == width - np.uint64(1))  # of m + 1, which may overflow
        return _logarithmic(steps, self.attn_scale)


@dataclass(frozen=True)
class MinistralTemperature(QueryScale):
    r"""Ministral 3's and Mistral 4's attention temperature, in every layer.

    .. math:: 1 + \beta \ln\left(1 + \left\lfloor \frac{m}{L_0} \right\rfloor\right)

    as ``get_llama_4_attn_scale`` of Transformers' Ministral3 computes it. Unlike Llama 4's it does
    not add 1 to the position, so that its steps come one token later.

    Parameters
    ----------
    beta : float
        Growth of the factor, ``llama_4_scaling_beta`` in configs; not negative.
    original_max_position_embeddings : int
        Tokens between two steps; the first is at this position.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    Examples
    --------
    >>> MinistralTemperature(0.1, 16384).scale([16383, 16384, 262_143]).round(7).tolist()
    [1.0, 1.0693147, 1.2772589]
    """

    beta: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "beta", _not_negative(self.beta, "beta"))
        name = "original_max_position_embeddings"
        object.__setattr__(self, name, positive_int(self.original_max_position_embeddings, name))

    def _factor(self, m: NDArray[np.uint64]) -> NDArray[np.float64]:
        return _logarithmic(m // np.uint64(self.original_max_position_embeddings), self.beta)


@dataclass(frozen=True)
class LogN(QueryScale):
    r"""Qwen's log-n attention, ``use_logn_attn`` of the first generation's configs.

    .. math:: \max\left(1, \log_L (m + 1)\right)

    the list ``logn_list`` of ``QWenAttention`` in Qwen's modeling_qwen.py, whose entry m belongs to
    position m. Theirs ends at 32,767 tokens and is not used in training.

    Parameters
    ----------
    seq_length : int
        Length L of training, in tokens; at least 2.

    Raises
    ------
    TypeError, ValueError
        If the parameter has another type or range.

    Examples
    --------
    >>> LogN(2048).scale([2047, 2048, 2**22 - 1]).round(7).tolist()
    [1.0, 1.000064, 2.0]
    """

    seq_length: int

    def __post_init__(self) -> None:
        """Validate."""
        length = positive_int(self.seq_length, "seq_length")
        if length == 1:
            msg = "seq_length: expected at least 2, the base of a logarithm; got 1"
            raise ValueError(msg)
        object.__setattr__(self, "seq_length", length)

    def _factor(self, m: NDArray[np.uint64]) -> NDArray[np.float64]:
        tokens = m.astype(np.float64) + 1.0
        return np.where(m < self.seq_length, 1.0, np.log(tokens) / np.log(self.seq_length))


def _logarithmic(steps: NDArray[np.uint64], growth: float) -> NDArray[np.float64]:
    """Return 1 + growth * ln(1 + steps)."""
    logarithm: NDArray[np.float64] = np.log1p(steps.astype(np.float64))
    return 1.0 + growth * logarithm


def _not_negative(value: object, name: str) -> float:
    real = finite_real(value, name)
    if real < 0.0:
        msg = f"{name}: expected a number from 0 on, since the factor grows; got {real!r}"
        raise ValueError(msg)
    return real
