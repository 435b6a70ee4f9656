"""Rotation by given tables, of one tensor and of two, against complex numbers of float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ropelab import apply_rotary_cached, apply_rotary_cached_qk
from ropelab.golden import SPECIFICATION, verify
from ropelab.precision import eps, narrow, widen
from tests.kernel_goldens import in_pairs, of_given_tables
from tests.ropelab.support import (
    POSITIONS,
    bits,
    complex_turned,
    exact_cos_sin,
    numbers,
    pair_norms,
    refuses,
)

B, S, D, ROTARY = 2, 3, 11, 8
IDS = np.array(POSITIONS[2:8]).reshape(B, S)  # shuffled, large, odd, of both signs
COS, SIN = exact_cos_sin(IDS, [1.0, 0.3, 0.07, 1e-3])
TURN = COS + 1j * SIN
Q, K = numbers(B, S, 5, D), numbers(B, S, 2, D, seed=1)
LAYOUTS = ("half", "interleaved")
Array = NDArray[Any]


def is_turned(
    got: Array, x: Array, layouts: tuple[str, str] = ("half", "half"), offset: int = 0, **how: Any
) -> bool:
    """Tell whether pairs are turned to rounding and all other channels of x are as they were."""
    inside = slice(offset, offset + ROTARY)
    turn = TURN.conj() if how.get("inverse") else TURN
    error = np.abs(got - complex_turned(x, turn, layouts, offset))[..., inside]
    norms = pair_norms(complex_turned(x, turn, layouts, offset)[..., inside], layouts[1])
    same = [bits(y[..., :offset]) + bits(y[..., offset + ROTARY :]) for y in (got, x)]
    return bool((error <= 4 * eps("float64") * norms).all()) and same[0] == same[1]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_queries_and_keys_turn_by_their_tables(layout: str, offset: int, inverse: bool) -> None:
    options: dict[str, Any] = {"layout": layout, "rotary_offset": offset, "inverse": inverse}
    both = apply_rotary_cached_qk(Q, K, COS, SIN, **options)
    alone = apply_rotary_cached(Q, COS, SIN, **options)
    for got, x in zip((*both, alone), (Q, K, Q), strict=True):
        assert is_turned(got, x, (layout, layout), offset, inverse=inverse)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("layouts", [LAYOUTS, LAYOUTS[::-1]])
def test_pairs_go_from_one_layout_to_the_other(layouts: tuple[str, str], inverse: bool) -> None:
    named = layouts[::-1] if inverse else layouts
    both = apply_rotary_cached_qk(
        *(Q, K, COS, SIN), layout=named[0], output_layout=named[1], inverse=inverse
    )
    assert is_turned(both[0], Q, layouts, inverse=inverse)
    assert is_turned(both[1], K, layouts, inverse=inverse)


@pytest.mark.parametrize("tensor_format", ["bhsd", "sbhd", "thd"])
def test_every_format_is_a_transposition(tensor_format: str) -> None:
    options: dict[str, Any] = {"tensor_format": tensor_format, "layout": "interleaved"}
    wanted = [complex_turned(x, TURN, ("interleaved",) * 2) for x in (Q, K)]
    if tensor_format == "thd":
        q, k, cos, sin = (x.reshape(B * S, *x.shape[2:]) for x in (Q, K, COS, SIN))
        both = [y.reshape(B, S, -1, D) for y in apply_rotary_cached_qk(q, k, cos, sin, **options)]
    else:
        axes = ["bshd".index(letter) for letter in tensor_format]
        made = apply_rotary_cached_qk(Q.transpose(axes), K.transpose(axes), COS, SIN, **options)
        both = [y.transpose(np.argsort(axes)) for y in made]
    for got, truth in zip(both, wanted, strict=True):
        np.testing.assert_allclose(got, truth, rtol=0, atol=4 * 180 * eps("float64"))


def test_tables_broadcast_and_may_be_narrower_formats() -> None:
    x = numbers(B, 5, S, 8)
    cos, sin = (narrow(table[0], "bfloat16") for table in (COS, SIN))
    c, s = widen(cos), widen(sin)
    for got, y in zip(
        apply_rotary_cached_qk(x, x[:, :2], cos, sin, tensor_format="bhsd"),
        (x, x[:, :2]),
        strict=True,
    ):
        a, b = y[..., :4], y[..., 4:]
        np.testing.assert_array_equal(got, np.concatenate([a * c - b * s, b * c + a * s], -1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("repeated", [False, True])
def test_positions_name_the_rows_of_both(layout: str, repeated: bool) -> None:
    """Of rows in disorder, amid others that nobody may read."""
    rows = np.array([[9, 2, 4], [7, 3, 11]])
    tables = [np.full((13, 4), np.nan) for _ in range(2)]
    for table, values in zip(tables, (COS, SIN), strict=True):
        table[rows] = values
    if repeated:
        tables = [np.tile(t, 2) if layout == "half" else np.repeat(t, 2, -1) for t in tables]
    options: dict[str, Any] = {"layout": layout, "repeated": repeated}
    both = apply_rotary_cached_qk(Q, K, *tables, position_ids=rows, **options)
    for got, x in zip(both, (Q, K), strict=True):
        truth = complex_turned(x, TURN, (layout, layout))
        np.testing.assert_allclose(got, truth, rtol=0, atol=4 * 180 * eps("float64"))
    with refuses(ValueError, "position_ids", "got position 13;", "'clamp'"):
        apply_rotary_cached_qk(Q, K, *tables, position_ids=[0, 13, 1], **options)


def test_queries_and_keys_have_formats_and_scales_of_their_own() -> None:
    q, k = apply_rotary_cached_qk(Q, narrow(K, "float16"), COS, SIN)
    assert [x.dtype for x in (q, k)] == [np.float64, np.float16]
    for scale, (of_q, of_k) in (((0.25, 3.0), (0.25, 3.0)), (0.7, (0.7, 0.7)), (None, (1.0, 1.0))):
        both = apply_rotary_cached_qk(Q, K, COS, SIN, dtype="float32", scale=scale)
        for got, x, by in zip(both, (Q, K), (of_q, of_k), strict=True):
            assert got.dtype == np.float32
            truth = complex_turned(x, TURN) / by
            np.testing.assert_allclose(got, truth, rtol=0, atol=180 / by * eps("float32"))


def test_inputs_are_never_written() -> None:
    given = [x.copy() for x in (Q, K, COS, SIN)]
    for x in given:
        x.flags.writeable = False
    for y in apply_rotary_cached_qk(*given):
        assert not any(np.shares_memory(y, x) for x in given)
        assert y.flags.writeable


def test_the_goldens_of_one_tensor_hold_for_two() -> None:
    asked = of_given_tables()
    results = verify(asked, in_pairs(SPECIFICATION))
    assert len(results) == len(asked) >= 80
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


WRONG: list[tuple[str, object, type[Exception]]] = [
    ("cos", np.ones((S, 12)), ValueError),  # each value twice, as in Transformers
    ("cos", None, TypeError),
    ("cos", np.ones((S, 4), int), TypeError),
    ("cos", 1.0, ValueError),
    ("cos", np.ones((S, 0)), ValueError),
    ("cos", np.ones((S + 1, 4)), ValueError),
    ("sin", np.ones((S, 4), bool), TypeError),
    ("sin", np.ones((S, 3)), ValueError),
    ("layout", None, ValueError),
    ("tensor_format", "BSHD", ValueError),
    ("inverse", 1, TypeError),
    ("output_layout", "", ValueError),
    ("rotary_offset", 4, ValueError),
    ("rotary_offset", True, TypeError),
    ("repeated", 1, TypeError),
    ("overrun", "clamp", ValueError),
    ("dtype", "int8", TypeError),
    ("scale", 0.0, ValueError),
]


@pytest.mark.parametrize(("name", "value", "kind"), [("x", "abc", TypeError), *WRONG])
def test_apply_rotary_cached_refuses(name: str, value: object, kind: type[Exception]) -> None:
    good = {"x": Q, "cos": np.ones((S, 4)), "sin": np.zeros((S, 4))}
    with refuses(kind, name):
        apply_rotary_cached(**{**good, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("q", "abc", TypeError),
        ("q", Q[0], ValueError),
        ("k", K.astype(np.int64), TypeError),
        ("k", K[0], ValueError),
        ("k", K[:, :2], ValueError),
        ("k", K[..., :10], ValueError),
        ("scale", (1.0, 2.0, 3.0), ValueError),
        *WRONG,
    ],
)
def test_apply_rotary_cached_qk_refuses(name: str, value: object, kind: type[Exception]) -> None:
    good = {"q": Q, "k": K, "cos": np.ones((S, 4)), "sin": np.zeros((S, 4))}
    with refuses(kind, name):
        apply_rotary_cached_qk(**{**good, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scale", "kind", "name"),
    [((-1.0, 1.0), ValueError, "scale[0]"), ((1.0, "1"), TypeError, "scale[1]")],
)
def test_a_pair_of_scales_that_is_none(scale: Any, kind: type[Exception], name: str) -> None:
    with refuses(kind, name):
        apply_rotary_cached_qk(Q, K, COS, SIN, scale=scale)
