"""Phases and rotations as complex numbers: z times exp(i m omega), at 256 bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

from .numbers import Complex, Real, exactly, from_bits, mp, rounded

__all__ = ["cosines", "pair", "permuted", "phases", "rotated", "turns"]


def turns(inv_freq: list[float]) -> list[int]:
    """Return turns per token times 2**64, to the nearest integer, modulo 2**64."""
    with mp.workprec(1400):  # the largest float64 has 1024 bits before the point
        return [_fixed(exactly(speed) / (2 * mp.pi)) for speed in inv_freq]


def phases(position: int, inv_freq: list[float], periods: list[int]) -> list[int]:
    """Return turns times 2**64 after `position` steps, counted anew in each period if any."""
    return [
        (position % period if period else position) * turn % 2**64
        for turn, period in zip(turns(inv_freq), periods, strict=True)
    ]


def _fixed(fraction: Real) -> int:
    return int(mp.nint(fraction * 2**64)) % 2**64


@lru_cache(maxsize=65536)
def cosines(position: int, speed: float, factor: float, angles: str) -> Complex:
    """Return factor times (cos + i sin) of position times speed, by the named pipeline."""
    if angles == "exact":
        return exactly(factor) * mp.expj(position * exactly(speed))
    # Transformers: every step is rounded to float32.
    angle = _float32(_float32(mp.mpf(position)) * _float32(exactly(speed)))
    scale = _float32(exactly(factor))
    return mp.mpc(
        _float32(_float32(mp.cos(angle)) * scale),
        _float32(_float32(mp.sin(angle)) * scale),
    )


def _float32(value: Real) -> Real:
    return from_bits(rounded([value], "float32"), "float32")[0]


def pair(layout: str, rotary_dim: int, i: int) -> tuple[int, int]:
    """Return the two channels of pair i."""
    return (i, i + rotary_dim // 2) if layout == "half" else (2 * i, 2 * i + 1)


def rotated(
    x: dict[tuple[int, ...], Real],
    shape: tuple[int, ...],
    turn: dict[tuple[int, ...], list[Complex]],
    *,
    layout: str,
    tensor_format: str,
    inverse: bool,
    output_layout: str | None = None,
    rotary_offset: int = 0,
) -> dict[tuple[int, ...], Real]:
    """Rotate a tensor given as {index: number}.

    Parameters
    ----------
    x : dict
        Numbers by index.
    shape : tuple of int
        Of the tensor.
    turn : dict
        For each (batch, sequence) or (token,), the complex factor of every pair.
    layout, tensor_format : str
        As in the specification.
    inverse : bool
        Whether to conjugate, and to go from the output's layout to the input's.
    output_layout : str, optional
        Where the two members of a pair are put; by default where they came from.
    rotary_offset : int
        The first rotated channel.

    Returns
    -------
    dict
        Only the rotated channels.
    """
    ends = (layout, output_layout or layout)
    ends = ends[::-1] if inverse else ends
    result = {}
    for index in _rows(shape):
        token = tuple(index[tensor_format.index(axis)] for axis in tensor_format if axis in "bst")
        if tensor_format == "sbhd":
            token = token[::-1]
        for i, factor in enumerate(turn[token]):
            d = 2 * len(turn[token])
            source, target = (
                [rotary_offset + channel for channel in pair(words, d, i)] for words in ends
            )
            z = mp.mpc(x[(*index, source[0])], x[(*index, source[1])])
            z *= mp.conj(factor) if inverse else factor
            result[(*index, target[0])], result[(*index, target[1])] = z.real, z.imag
    return result


def _rows(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(length) for length in shape[:-1]))


def permuted(width: int, rotary_dim: int, source: str, target: str) -> list[int]:
    """Return, for each new channel, the old one that moves there."""
    order = list(range(width))
    for i in range(rotary_dim // 2):
        for old, new in zip(pair(source, rotary_dim, i), pair(target, rotary_dim, i), strict=True):
            order[new] = old
    return order
