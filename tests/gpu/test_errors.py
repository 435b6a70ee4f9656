"""How far results are from the truth, at every position up to 2^31 - 1 and beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, float_dtype, narrow, widen
from tests.fuzz.cases import DTYPES
from tests.fuzz.errors import BOUNDS
from tests.gpu.devices import Torch

pytestmark = pytest.mark.gpu

ROPE = ropelab.Rope(128, base=5e5)
RANDOM = 12_000
torch_tensors = Torch()


def positions() -> Array:
    """Return the powers of two and their neighbours, both signs, and random positions between."""
    powers = 2 ** np.arange(31)
    near = np.concatenate([powers - 1, powers, powers + 1, [2**31 - 1, 131_071, 1_048_575]])
    drawn = np.random.default_rng(7).integers(-(2**31) + 1, 2**31, RANDOM)
    found = np.unique(np.concatenate([near, -near, drawn]))
    assert found.max() == 2**31 - 1
    return found


def values(shape: tuple[int, ...], dtype: str) -> Array:
    """Return numbers of which no pair is small: an eps is an eps in each format."""
    random_numbers = np.random.default_rng(11)
    size = random_numbers.uniform(0.5, 4.0, shape) * random_numbers.choice((-1.0, 1.0), shape)
    return narrow(size, float_dtype(dtype))


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_error_of_a_pair_does_not_grow_with_the_position(
    dtype: str, layout: str, inverse: bool
) -> None:
    ids = positions()
    x = values((len(ids), 1, 128), dtype)
    options: dict[str, Any] = {"layout": layout, "tensor_format": "thd", "inverse": inverse}
    tensors = (torch_tensors.put(x), torch_tensors.put(ids))
    actual = widen(
        torch_tensors.take(ropelab_cuda.apply_rotary(*tensors, ROPE.spectrum(), **options))
    )
    expected = ropelab.apply_rotary(widen(x), ids, ROPE.spectrum(), **options)
    first, second = pair_channels(layout, 128)
    error = np.hypot(
        actual[..., first] - expected[..., first], actual[..., second] - expected[..., second]
    )
    error /= np.hypot(expected[..., first], expected[..., second]) * eps(dtype)
    assert np.isfinite(error).all()
    worst = np.unravel_index(int(error.argmax()), error.shape)
    print(
        f"\n{dtype}, {layout}: worst {error.max():.4f} eps of {BOUNDS[dtype]}, at position "
        f"{ids[worst[0]]}; {len(ids)} positions, {error.size} pairs"
    )
    assert error.max() <= BOUNDS[dtype]


def test_phases_are_the_same_integers_at_every_position() -> None:
    ids = positions()
    spectrum = ROPE.spectrum()
    found = torch_tensors.take(ropelab_cuda.exact_phases(torch_tensors.put(ids), spectrum))
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, ropelab.exact_phases(ids, spectrum))
