"""Dynamic linear scaling against its formula in mpmath."""

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import DynamicLinear
from tests.ropelab.support import refuses

ROPE = Rope(96, base=5e5, rotary_dim=80, scaling=DynamicLinear(), max_position_embeddings=3000)


@pytest.mark.parametrize("seq_len", [None, 1, 2999, 3000])
def test_lengths_up_to_the_maximum_are_left_alone(seq_len: int | None) -> None:
    assert ROPE.spectrum(seq_len) == Rope(96, base=5e5, rotary_dim=80).spectrum()


@pytest.mark.parametrize("seq_len", [3001, 4999, 131071, 2**31 - 1])
def test_beyond_it_the_text_is_squeezed_into_the_maximum(seq_len: int) -> None:
    with mpmath.workdps(60):
        truth = [
            float(mpmath.mpf(500_000) ** (-mpmath.mpf(2 * i) / 80) * 3000 / seq_len)
            for i in range(40)
        ]
    # A power, a quotient and their quotient, each rounded.
    np.testing.assert_array_max_ulp(ROPE.spectrum(seq_len).inv_freq, np.array(truth), maxulp=2)


def test_a_missing_maximum_is_named() -> None:
    with refuses(ValueError, "max_position_embeddings", "DynamicLinear", "None"):
        Rope(64, scaling=DynamicLinear()).spectrum(4096)
