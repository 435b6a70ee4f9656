"""The search for bases against the published table, and against `first_breach` of each base."""

from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import PUBLISHED_BASES, bound_holds, first_breach, smallest_base
from tests.ropelab.support import refuses


@pytest.mark.parametrize("row", PUBLISHED_BASES[:6], ids=lambda row: str(row.context_length))
def test_the_smallest_base_is_the_published_one(row: Any) -> None:
    # Su prints two digits.
    assert f"{smallest_base(row.context_length):.1e}" == f"{row.su:.1e}"


@pytest.mark.parametrize(("dim", "length"), [(128, 1024), (64, 700)])
def test_a_base_bears_a_context_where_its_rope_has_no_breach(dim: int, length: int) -> None:
    # Rising, falling and scattered, since the search remembers where the last base failed.
    rising = np.geomspace(length / 2, 12 * length, 60)
    scattered = np.random.default_rng(3).permutation(rising)
    for bases in (rising, rising[::-1], scattered):
        walked = [first_breach(Rope(dim, base=base), length) is None for base in bases.tolist()]
        assert bound_holds(bases, length, rotary_dim=dim).tolist() == walked
    assert True in walked
    assert False in walked


def test_the_set_of_bases_is_no_interval() -> None:
    # At 1k: from 4.29e3 on some pass, and 6.02e3 is the largest that was ever seen to fail.
    held = bound_holds(np.geomspace(4000, 8000, 700), 1024)
    first = int(held.argmax())
    assert 0.2 < float((~held[first:]).mean()) < 0.6
    assert held[-100:].all()


def test_the_result_passes_and_what_is_a_little_smaller_fails() -> None:
    base = smallest_base(1024)
    assert bound_holds([base, base * (1 - 2e-6)], 1024).tolist() == [True, False]
    assert first_breach(Rope(128, base=base), 1024) is None


def test_coarse_steps_miss_a_narrow_window() -> None:
    # At 4k the bases from 2.695e4 to 2.699e4 or so pass, and the next only at 2.86e4.
    assert smallest_base(4096) < 2.70e4 < 2.85e4 < smallest_base(4096, step=1e-2)


def test_shapes_are_kept() -> None:
    bases = np.array([[4200.0, 4300.0, 1e4]])
    assert bound_holds(bases, 1024).tolist() == [[False, True, True]]
    assert bound_holds(4300.0, 1024).shape == ()
    assert bound_holds([], 1024).shape == (0,)


def test_where_no_base_passes_the_search_ends() -> None:
    # A single pair has one frequency, 1, whatever the base.
    with refuses(ValueError, "largest", "100000"):
        smallest_base(1000, rotary_dim=2, largest=1e5)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"context_length": 0}, "context_length"),
        ({"context_length": 8, "rotary_dim": 7}, "rotary_dim"),
        ({"context_length": 8, "step": 0.0}, "step"),
        ({"context_length": 8, "step": 2.0}, "step"),
        ({"context_length": 8, "largest": 1.0}, "largest"),
    ],
)
def test_smallest_base_refuses(arguments: dict[str, Any], name: str) -> None:
    with refuses(ValueError, name):
        smallest_base(**arguments)


@pytest.mark.parametrize("bases", [[1e4, 1.0], [np.inf], [np.nan], [-5.0], 0.0])
def test_bases_are_above_one(bases: Any) -> None:
    with refuses(ValueError, "bases"):
        bound_holds(bases, 8)


@pytest.mark.parametrize("bases", ["1e4", [1j], None])
def test_bases_are_numbers(bases: Any) -> None:
    with refuses(TypeError, "bases"):
        bound_holds(bases, 8)


def test_work_without_an_end_is_refused() -> None:
    with refuses(ValueError, "context_length", "16777216", "1000000000"):
        smallest_base(10**9)
    with refuses(ValueError, "context_length", "1000000000"):
        bound_holds(np.full(1000, 1e300), 10**9)
    for function in (smallest_base, lambda length, **d: bound_holds(1e4, length, **d)):
        with refuses(ValueError, "rotary_dim", "1048576", "1000000000"):
            function(8, rotary_dim=10**9)


def test_a_wide_head_is_taken_in_parts() -> None:
    # All distances at once would be half a gigabyte, and as much for each cosine.
    assert not bound_holds(1e3, 4096, rotary_dim=1 << 15)


@pytest.mark.parametrize("value", [np.datetime64("2020"), np.timedelta64(5, "s")])
def test_dates_are_no_numbers(value: Any) -> None:
    with refuses(TypeError, "step", "datetime64" if value.dtype.kind == "M" else "timedelta64"):
        smallest_base(8, step=value)
    with refuses(TypeError, "largest"):
        smallest_base(8, largest=value)
    with refuses(TypeError, "base"):
        Rope(8, base=value)
