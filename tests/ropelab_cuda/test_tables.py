"""Tables of which positions name the rows, by the kernels' own source: nothing beyond is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, narrow, widen
from tests.ropelab.support import refuses
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

LENGTH, PAIRS = 9, 4
DTYPES = ("float64", "float32", "float16", "bfloat16")
SPECTRUM = ropelab.Spectrum([1.0, 0.3, 0.07, 1e-3])
IDS = np.array([[8, 0, 3], [5, 8, 1]])
PAST = np.array([[8, LENGTH, 0], [-1, 2**40, -(2**40)]])
Array = NDArray[Any]


def random(*shape: int, dtype: str = "float32") -> Array:
    return narrow(np.random.default_rng(0).standard_normal(shape), dtype)


def tables(dtype: str, layout: str | None = None) -> list[Array]:
    """Return cos and sin amid NaN, on every side; each value twice where a layout is given."""
    made = []
    for table in ropelab.cos_sin(np.arange(LENGTH) * 1_001, SPECTRUM, dtype=np.float64):
        if layout is not None:
            table = np.tile(table, 2) if layout == "half" else np.repeat(table, 2, -1)
        whole = narrow(np.full((LENGTH + 4, table.shape[1] + 3), np.nan), dtype)
        part = whole[2:-2, 1:-2]
        part[...] = narrow(table, dtype)
        made.append(part)
    return made


def near(actual: Array, expected: Array) -> bool:
    error = np.abs(widen(actual) - widen(expected)).max(initial=0.0)
    return bool(error <= 8 * eps(expected.dtype))


@pytest.mark.parametrize("table_dtype", DTYPES)
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("overrun", ["raise", "clamp"])
def test_row_m_serves_position_m(
    table_dtype: str, layout: str, repeated: bool, overrun: str
) -> None:
    x = random(2, 3, 5, 11)
    given = tables(table_dtype, layout if repeated else None)
    ids = IDS if overrun == "raise" else PAST
    options: dict[str, Any] = {"layout": layout, "repeated": repeated, "overrun": overrun}
    options |= {"position_ids": ids, "inverse": True, "rotary_offset": 2}
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, *given, **options)
        place, out = x.copy(), np.full_like(x, np.nan)
        ropelab_cuda.apply_rotary_cached_(place, *given, **options)
        ropelab_cuda.apply_rotary_cached(x, *given, out=out, **options)
    assert near(y, ropelab.apply_rotary_cached(x, *given, **options))
    assert place.tobytes() == out.tobytes() == y.tobytes()


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("ids", [None, IDS])
def test_of_two_equal_columns_the_first_is_read(layout: str, ids: Array | None) -> None:
    x = random(2, 3, 5, 2 * PAIRS, dtype="float64")
    cos, sin = (table[:3] if ids is None else table for table in tables("float64", layout))
    options: dict[str, Any] = {"layout": layout, "repeated": True, "position_ids": ids}
    second = slice(PAIRS, None) if layout == "half" else slice(1, None, 2)
    wanted = ropelab.apply_rotary_cached(x, cos, sin, **options)
    for table in (cos, sin):
        table[:, second] = np.nan
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, cos, sin, **options)
    assert near(y, wanted)


@pytest.mark.parametrize("inverse", [False, True])
def test_repeated_columns_lie_as_the_rotated_pairs_do(inverse: bool) -> None:
    x, given = random(2, 3, 2, 2 * PAIRS), tables("float32", "half")
    options: dict[str, Any] = {"layout": "interleaved", "output_layout": "half"}
    options |= {"inverse": inverse, "repeated": True, "position_ids": IDS}
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, *given, **options)
    assert near(y, ropelab.apply_rotary_cached(x, *given, **options))


@pytest.mark.parametrize("kind", ["number", "offsets", "pack", "shard"])
@pytest.mark.parametrize("overrun", ["raise", "clamp"])
def test_objects_name_the_rows(kind: str, overrun: str) -> None:
    rows, pack = {"tensor_format": "bhsd"}, {"tensor_format": "thd"}
    place, options, shape = {
        "number": (Consecutive(6), rows, (2, 2, 3, 8)),
        "offsets": (Consecutive(np.array([6, 0], np.int32)), rows, (2, 2, 3, 8)),
        "pack": (Packed(np.array([0, 2, 2, 6]), np.array([1, 9, 5])), pack, (6, 2, 8)),
        "shard": (Packed(np.array([0, 8]), 1, 2, 1), pack, (4, 2, 8)),
    }[kind]
    x, given = random(*shape), tables("float32")
    told: dict[str, Any] = {**options, "position_ids": place, "overrun": overrun}
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, *given, **told)
    assert near(y, ropelab.apply_rotary_cached(x, *given, **told))


@pytest.mark.parametrize(
    ("ids", "flagged"),
    [
        (IDS, 0),
        (PAST, 1),
        (np.array([[8, 8, 9], [0, 0, 0]]), 1),
        (np.array([[0, 0, 0], [0, 0, -1]]), 1),
        (Consecutive(6), 0),
        (Consecutive(np.array([0, 7])), 1),
    ],
)
@pytest.mark.parametrize("heads", [1, 64])
def test_the_flag_says_that_a_position_had_no_row(ids: Any, flagged: int, heads: int) -> None:
    x, given = random(2, 3, heads, 2 * PAIRS), tables("float32")
    memory = np.zeros(3, np.int32)
    options: dict[str, Any] = {"position_ids": ids, "overrun": "clamp"}
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, *given, **options, overrun_flag=memory[1:2])
        assert memory.tolist() == [0, flagged, 0]
        memory[1] = 5
        place = x.copy()
        ropelab_cuda.apply_rotary_cached_(
            place, *given, **options, overrun_flag=memory[1:2].reshape(())
        )
    assert memory.tolist() == [0, 1 if flagged else 5, 0]  # it is never set back
    assert near(y, ropelab.apply_rotary_cached(x, *given, **options))
    assert place.tobytes() == y.tobytes()


@pytest.mark.parametrize("past", [LENGTH, -1, 2**31, -(2**63)])
def test_a_position_without_a_row_raises_before_anything_is_written(past: int) -> None:
    x, given = random(2, 3, 2, 2 * PAIRS), tables("float32")
    before = x.tobytes()
    with on_cpu(), refuses(ValueError, "position_ids", f"got position {past};", "'clamp'"):
        ropelab_cuda.apply_rotary_cached_(x, *given, position_ids=np.array([[0], [past]]))
    with on_cpu(), refuses(ValueError, "position_ids", "got position 10;"):
        ropelab_cuda.apply_rotary_cached_(x, *given, position_ids=Consecutive(8))
    with on_cpu(), refuses(ValueError, "cu_seqlens", "never decrease"):
        pack = Packed(np.array([0, 3, 2]))  # read, so its values are checked, too
        options: dict[str, Any] = {"position_ids": pack, "tensor_format": "thd"}
        ropelab_cuda.apply_rotary_cached_(x[0], *given, **options)
    assert x.tobytes() == before


def test_a_table_of_no_tokens_is_not_looked_at() -> None:
    given = tables("float32")
    for overrun in ("raise", "clamp"):
        x, ids = np.ones((2, 0, 3, 8), np.float32), np.zeros((2, 0), np.int64)
        with on_cpu():
            y = ropelab_cuda.apply_rotary_cached(x, *given, position_ids=ids, overrun=overrun)
        assert y.shape == x.shape


def refused() -> dict[str, tuple[type[Exception], str, str, dict[str, Any]]]:
    """Return the error, its argument, a word of it, and the arguments that differ."""
    x = random(2, 3, 2, 2 * PAIRS)
    flag = np.zeros(1, np.int32)
    clamp: dict[str, Any] = {"overrun": "clamp"}
    return {
        "flag without clamp": (ValueError, "overrun_flag", "'raise'", {"overrun_flag": flag}),
        "flag by token": (
            ValueError,
            "overrun_flag",
            "overrun='clamp'",
            {"overrun_flag": flag, "position_ids": None},
        ),
        "clamp by token": (ValueError, "overrun", "'clamp'", {**clamp, "position_ids": None}),
        "flag of int64": (
            TypeError,
            "overrun_flag",
            "int64",
            {**clamp, "overrun_flag": np.zeros(1, np.int64)},
        ),
        "flag of two": (
            ValueError,
            "overrun_flag",
            "(2,)",
            {**clamp, "overrun_flag": np.zeros(2, np.int32)},
        ),
        "flag of none": (
            ValueError,
            "overrun_flag",
            "(0,)",
            {**clamp, "overrun_flag": flag[:0]},
        ),
        "flag in x": (
            ValueError,
            "overrun_flag",
            "x",
            {**clamp, "x": x, "overrun_flag": x.view(np.int32)[0, 0, 0, :1]},
        ),
        "flag in ids": (
            ValueError,
            "overrun_flag",
            "position_ids",
            {**clamp, "position_ids": flag, "overrun_flag": flag},
        ),
        "flag in out": (
            ValueError,
            "out",
            "overrun_flag",
            {**clamp, "out": x, "overrun_flag": x.view(np.int32)[0, 0, 0, :1]},
        ),
        "no rows": (ValueError, "cos", "(0, 4)", {**clamp, "cos": np.ones((0, 4), np.float32)}),
    }


@pytest.mark.parametrize("reason", refused())
def test_flags_and_tables_that_cannot_be_taken(reason: str) -> None:
    error, name, word, change = refused()[reason]
    cos, sin = tables("float32")
    given = {"x": random(2, 3, 2, 8), "cos": cos, "sin": sin, "position_ids": IDS, **change}
    if given["position_ids"] is None:
        given |= {"cos": cos[:3], "sin": sin[:3]}
    with on_cpu(), refuses(error, name, word):
        ropelab_cuda.apply_rotary_cached(
            given.pop("x"), given.pop("cos"), given.pop("sin"), **given
        )
