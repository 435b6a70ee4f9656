"""Truths and measures that the tests share; nothing here calls ropelab."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

# Large, odd and negative: a short prompt forgives every mistake.
POSITIONS = (0, 1, 257, -4095, 131_071, 2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31) + 1)
DIGITS = 80


@contextmanager
def refuses(kind: type[Exception], name: str, *came: str) -> Iterator[None]:
    """Pass if the block raises exactly `kind`, naming the argument first and then what came."""
    with pytest.raises(kind) as caught:
        yield
    assert caught.type is kind
    message = str(caught.value)
    assert message.startswith(f"{name}:"), message
    assert [word for word in came if word not in message] == [], message


def exact_angles(
    positions: NDArray[np.integer], inv_freq: Sequence[float]
) -> list[list[mpmath.mpf]]:
    """Return position times frequency, both taken as the exact numbers that they are."""
    with mpmath.workdps(DIGITS):
        speeds = [mpmath.mpf(w) for w in inv_freq]
        return [[int(m) * w for w in speeds] for m in positions.ravel()]


def exact_cos_sin(
    positions: NDArray[np.integer], inv_freq: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cos and sin in 80 digits, rounded once to float64."""
    shape = (*np.shape(positions), len(inv_freq))
    with mpmath.workdps(DIGITS):
        angles = exact_angles(np.asarray(positions), inv_freq)
        cos = [[float(mpmath.cos(a)) for a in row] for row in angles]
        sin = [[float(mpmath.sin(a)) for a in row] for row in angles]
    return np.reshape(cos, shape), np.reshape(sin, shape)


def turn_rounding(positions: NDArray[np.integer]) -> NDArray[np.float64]:
    """Bound the radians by which 64-bit turns miss the angle: 2**-65 of a turn a token."""
    return 2.0 * np.pi * 2.0**-65 * np.abs(np.asarray(positions, np.float64))


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    """Whole numbers that any format holds, none of them zero."""
    generator = np.random.default_rng(seed)
    return generator.choice([-1.0, 1.0], shape) * generator.integers(1, 128, shape)


def complex_turned(
    x: NDArray[np.float64],
    turn: NDArray[np.complex128],
    layouts: tuple[str, str] = ("half", "half"),
    offset: int = 0,
) -> NDArray[np.float64]:
    """Multiply pairs, as complex numbers, by the turns of their tokens; the heads' axis is last."""
    d = 2 * turn.shape[-1]
    (a, b), (c, e) = (
        (slice(offset, offset + d // 2), slice(offset + d // 2, offset + d))
        if layout == "half"
        else (slice(offset, offset + d, 2), slice(offset + 1, offset + d, 2))
        for layout in layouts
    )
    z = (x[..., a] + 1j * x[..., b]) * turn[..., np.newaxis, :]
    made = x.copy()
    made[..., c], made[..., e] = z.real, z.imag
    return made


def pair_norms(x: NDArray[np.float64], layout: str) -> NDArray[np.float64]:
    """Return for each channel the norm of its pair; every channel has one."""
    d = x.shape[-1]
    pairs = (
        x.reshape(*x.shape[:-1], 2, d // 2) if layout == "half" else x.reshape(*x.shape[:-1], -1, 2)
    )
    norms = np.linalg.norm(pairs, axis=-2 if layout == "half" else -1)
    return np.concatenate([norms, norms], -1) if layout == "half" else np.repeat(norms, 2, -1)


def bits(array: NDArray[np.generic]) -> bytes:
    """Return the bytes, which tell -0.0 from 0.0 and one NaN from another."""
    return np.ascontiguousarray(array).tobytes()


def printed(value: float, digits: str) -> bool:
    """Tell whether a value, rounded to as many decimals as were printed, is what was printed."""
    return f"{value:.{len(digits.partition('.')[2])}f}" == digits
