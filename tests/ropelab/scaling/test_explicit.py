"""Given frequencies come back as they are."""

from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import ExplicitFrequencies
from tests.ropelab.support import refuses


def test_the_numbers_are_the_spectrum_whatever_the_base() -> None:
    given = [-0.5, 0.0, 1e-9]
    for base in (7.0, 1e6):
        rope = Rope(24, base=base, rotary_dim=6, scaling=ExplicitFrequencies(given, 1.25))
        assert rope.spectrum(999).inv_freq.tolist() == given
        assert rope.spectrum().attention_factor == 1.25


def test_a_buffer_in_float32_is_taken_exactly() -> None:
    buffer = np.array([1.0, 0.01], np.float32)
    rule = ExplicitFrequencies(buffer)  # type: ignore[arg-type]
    assert rule.inv_freq == (1.0, 0.009999999776482582)
    assert rule == ExplicitFrequencies([1.0, 0.009999999776482582])
    assert hash(rule) == hash(ExplicitFrequencies((1.0, 0.009999999776482582)))


@pytest.mark.parametrize(
    ("arguments", "kind", "name", "came"),
    [
        (([],), ValueError, "inv_freq", "(0,)"),
        ((1.0,), ValueError, "inv_freq", "()"),
        (([1.0, float("inf")],), ValueError, "inv_freq", "inf at pair 1"),
        (([1.0, None],), TypeError, "inv_freq", "None"),
        (("1.0",), TypeError, "inv_freq", "1.0"),
        (([1.0], 0.0), ValueError, "attention_factor", "0.0"),
        (([1.0], "1"), TypeError, "attention_factor", "'1'"),
    ],
)
def test_numbers_that_are_none_are_refused(
    arguments: tuple[Any, ...], kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        ExplicitFrequencies(*arguments)


@pytest.mark.parametrize("count", [7, 9, 16])
def test_another_number_of_pairs_is_refused(count: int) -> None:
    with refuses(ValueError, "inv_freq", "8 numbers", f"got {count}"):
        Rope(16, scaling=ExplicitFrequencies([1.0] * count)).spectrum()
