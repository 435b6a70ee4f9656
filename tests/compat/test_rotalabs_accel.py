"""rotalabs-accel's face: what its documentation promises, and its own code where that is right."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import rotalabs_accel
import torch

from ropelab_cuda.compat import rotalabs_accel as face
from ropelab_cuda.compat.rotalabs_accel import (
    RotaryEmbedding,
    apply_rope,
    build_rope_cache,
    rope_torch,
)
from tests.compat.truth import (
    EPS,
    ROUNDED_ONCE,
    ROUNDED_TABLES,
    geometric,
    ramp,
    turned,
    worst_pair,
)
from tests.ropelab.support import refuses

B, S, H, K, D = 2, 5, 6, 3, 32
FAR = torch.tensor([[0, 131_071, 7, 2**24 + 1, 65_537], [3, 3, 2, 999_983, 1]])

FLOATS = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])


def angles(positions: torch.Tensor, base: float = 1e4) -> torch.Tensor:
    """Return the angles by token, with an axis for heads."""
    return (positions.double().unsqueeze(-1) * geometric(D, base)).unsqueeze(-2)


def queries_and_keys(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return ramp(B, S, H, D, dtype=dtype), ramp(B, S, K, D, dtype=dtype, seed=1)


def check_turned(
    results: tuple[torch.Tensor, torch.Tensor],
    positions: torch.Tensor,
    bound: float,
    base: float = 1e4,
) -> None:
    """Check rotations of `queries_and_keys`."""
    for found, x in zip(results, queries_and_keys(results[0].dtype), strict=True):
        assert (found.dtype, found.shape) == (x.dtype, x.shape)
        assert (
            worst_pair(found, turned(x, angles(positions, base), "interleaved"), "interleaved")
            <= bound
        )


@pytest.mark.parametrize("name", face.__all__)
def test_names_and_parameters_are_the_originals(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (face, rotalabs_accel))
    shape = [[(p.name, p.default, p.kind) for p in s.parameters.values()] for s in (ours, theirs)]
    assert shape[0] == shape[1]


def test_forward_has_the_documented_parameters_beside_the_shipped_ones() -> None:
    ours, theirs = (
        inspect.signature(module.RotaryEmbedding.forward).parameters
        for module in (face, rotalabs_accel)
    )
    assert [*ours] == [*theirs, "seq_len", "offset"]
    assert RotaryEmbedding(D).extra_repr() == rotalabs_accel.RotaryEmbedding(D).extra_repr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_only_the_tables_are_rounded(dtype: torch.dtype) -> None:
    length, base = 4099, 5e5
    truth = torch.outer(torch.arange(length).double(), geometric(D, base))
    eps = torch.finfo(dtype).eps
    for table, wanted in zip(
        build_rope_cache(length, D, base, dtype=dtype), (truth.cos(), truth.sin()), strict=True
    ):
        assert (table.shape, table.dtype) == ((length, D // 2), dtype)
        # float64 angles err by length * 2**-53, and narrow formats are rounded from float32.
        bound = 0.501 * eps if dtype != torch.float64 else length * 2.0**-52
        assert (table.double() - wanted).abs().max() <= bound


def test_the_shipped_tables_agree_as_far_as_float32_goes() -> None:
    length = 8192
    for ours, theirs in zip(
        build_rope_cache(length, D, 5e5),
        rotalabs_accel.build_rope_cache(length, D, 5e5),
        strict=True,
    ):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        # Their frequency errs by two ulp, their angle by half of one, their cosine by one.
        bound = (
            torch.arange(length).unsqueeze(1) * 2.5 * EPS[torch.float32] + 2 * EPS[torch.float32]
        )
        assert ((ours - theirs).abs() <= bound).all()
    assert build_rope_cache(0, D)[0].shape == (0, D // 2)


@pytest.mark.parametrize("function", [rope_torch, apply_rope])
@FLOATS
def test_tables_turn_neighbours_of_every_head(
    function: Callable[..., Any], dtype: torch.dtype
) -> None:
    tables = build_rope_cache(S, D, dtype=torch.float64)
    bound = ROUNDED_ONCE + S * 2.0**-52 / EPS[dtype]  # the angles are rounded too
    check_turned(function(*queries_and_keys(dtype), *tables), torch.arange(S), bound)


def test_the_shipped_rotation_agrees() -> None:
    q, k, (cos, sin) = *queries_and_keys(), build_rope_cache(S, D)
    for ours, theirs in zip(
        apply_rope(q, k, cos, sin), rotalabs_accel.rope_torch(q, k, cos, sin), strict=True
    ):
        assert worst_pair(ours, theirs.double(), "interleaved") <= 1.8  # two products and a sum


@pytest.mark.parametrize("use_triton", [None, True, False])
def test_tables_of_every_shape(use_triton: bool | None) -> None:
    q, k = queries_and_keys()
    ids = torch.tensor([[4, 0, 9, 2, 2], [1, 8, 3, 0, 7]])
    cos, sin = build_rope_cache(10, D)
    for rows in (ids, ids[:1], ids[1:]):
        for shape in ((len(rows), S, -1), (len(rows), S, 1, -1)):
            tables = cos[rows].view(shape), sin[rows].view(shape)
            check_turned(apply_rope(q, k, *tables, use_triton), rows, ROUNDED_TABLES)
    column = cos[ids[0]].unsqueeze(1), sin[ids[0]].unsqueeze(1)
    check_turned(apply_rope(q, k, *column), ids[0], ROUNDED_TABLES)
    check_turned(apply_rope(q, k, cos, sin), torch.arange(S), ROUNDED_TABLES)


def test_narrow_queries_keep_their_dtype_beside_float32_tables() -> None:
    q, k = queries_and_keys(torch.bfloat16)
    tables = build_rope_cache(S, D)
    check_turned(rope_torch(q, k, *tables), torch.arange(S), ROUNDED_ONCE)


@FLOATS
def test_the_module_reads_the_values_of_positions(dtype: torch.dtype) -> None:
    rope = RotaryEmbedding(D, max_seq_len=4, base=5e5)
    q, k = queries_and_keys(dtype)
    # A float64 frequency is within an eps, and the truth's angle is rounded to half of one.
    bound = ROUNDED_ONCE + 2.0**25 * 2.0**-52 / EPS[dtype]
    check_turned(rope(q, k, FAR), FAR, bound, 5e5)
    check_turned(rope(q, k, position_ids=FAR[1]), FAR[1], bound, 5e5)
    check_turned(rope(q, k), torch.arange(S), bound, 5e5)


def test_decoding_by_offset_gives_the_rows_of_the_whole() -> None:
    rope = RotaryEmbedding(D)
    q, k = queries_and_keys()
    whole = rope(q, k, seq_len=S)
    for i in range(S):
        one = rope(q[:, i : i + 1], k[:, i : i + 1], seq_len=1, offset=i)
        for found, row in zip(one, whole, strict=True):
            assert torch.equal(found[:, 0], row[:, i])
    check_turned(rope(q, k, offset=100_000), torch.arange(100_000, 100_000 + S), ROUNDED_ONCE)


def test_the_shipped_module_agrees_without_positions() -> None:
    q, k = queries_and_keys()
    theirs = rotalabs_accel.RotaryEmbedding(D)(q, k)
    for ours, other in zip(RotaryEmbedding(D)(q, k), theirs, strict=True):
        assert worst_pair(ours, other.double(), "interleaved") <= 2.5 * S


def test_gradients_are_rotated_back() -> None:
    q, k = (x.requires_grad_() for x in queries_and_keys(torch.float64))
    upstream = ramp(B, S, H, D, dtype=torch.float64, seed=2), ramp(B, S, K, D, dtype=torch.float64)
    ids = FAR % 8191
    back = [turned(g, -angles(ids), "interleaved") for g in upstream]
    cos, sin = build_rope_cache(8191, D, dtype=torch.float64)
    for results in (RotaryEmbedding(D)(q, k, ids), apply_rope(q, k, cos[ids], sin[ids])):
        for found, wanted in zip(torch.autograd.grad(results, (q, k), upstream), back, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-11)


def test_gradients_reach_the_tables() -> None:
    q, k = (x[:, :3, :2, :4].clone().requires_grad_() for x in queries_and_keys(torch.float64))
    tables = [t.requires_grad_() for t in build_rope_cache(3, 4, dtype=torch.float64)]
    assert torch.autograd.gradcheck(rope_torch, (q, k, *tables))


def test_a_compiled_model_gives_the_same() -> None:
    q, k = (x.requires_grad_() for x in queries_and_keys())
    rope, (cos, sin) = RotaryEmbedding(D), build_rope_cache(8192, D)

    def model(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> list[torch.Tensor]:
        rows = ids % 8192
        return [*rope(q, k, ids), *rope(q, k, offset=7), *apply_rope(q, k, cos[rows], sin[rows])]

    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    for found, wanted in zip(compiled(q, k, FAR), model(q, k, FAR), strict=True):
        assert torch.equal(found, wanted)


def test_tables_on_the_meta_device_have_shapes_alone() -> None:
    outlined = build_rope_cache(7, D, device="meta", dtype=torch.bfloat16)
    with torch.device("meta"):
        surrounded = build_rope_cache(7, D, dtype=torch.bfloat16)
    for table in (*outlined, *surrounded):
        assert (table.device.type, table.shape, table.dtype) == (
            "meta",
            (7, D // 2),
            torch.bfloat16,
        )


def test_nothing_of_the_module_can_rot() -> None:
    q, k = queries_and_keys()
    rope = RotaryEmbedding(D)
    wanted = rope(q, k, FAR)
    assert (rope.state_dict(), [*rope.buffers()], [*rope.parameters()]) == ({}, [], [])
    rope.to("meta").to_empty(device="cpu").bfloat16()
    for found, before in zip(rope(q, k, FAR), wanted, strict=True):
        assert torch.equal(found, before)


QUERIES, KEYS = queries_and_keys()
ONE: Any = 1
BY_HEAD = torch.ones(1, S, H, D // 2)
TABLES = build_rope_cache(S, D)
REFUSED: dict[str, tuple[type[Exception], str, Callable[[], object]]] = {
    "odd width": (ValueError, "head_dim", lambda: build_rope_cache(4, 31)),
    "negative length": (ValueError, "seq_len", lambda: build_rope_cache(-1, 32)),
    "broken length": (TypeError, "seq_len", lambda: build_rope_cache(4.0 * ONE, 32)),
    "no base": (ValueError, "base", lambda: RotaryEmbedding(D, base=0.0)),
    "no length": (ValueError, "max_seq_len", lambda: RotaryEmbedding(D, 0)),
    "miscounted": (ValueError, "seq_len", lambda: RotaryEmbedding(D)(QUERIES, KEYS, seq_len=4)),
    "two sources": (ValueError, "offset", lambda: RotaryEmbedding(D)(QUERIES, KEYS, FAR, offset=1)),
    "broken offset": (
        TypeError,
        "offset",
        lambda: RotaryEmbedding(D)(QUERIES, KEYS, offset=1.0 * ONE),
    ),
    "few positions": (
        ValueError,
        "position_ids",
        lambda: RotaryEmbedding(D)(QUERIES, KEYS, FAR[:, :4]),
    ),
    "real positions": (
        TypeError,
        "position_ids",
        lambda: RotaryEmbedding(D)(QUERIES, KEYS, FAR.float()),
    ),
    "narrow tables": (
        ValueError,
        "cos",
        lambda: rope_torch(QUERIES, KEYS, *build_rope_cache(S, 16)),
    ),
    "long tables": (
        ValueError,
        "cos",
        lambda: rope_torch(QUERIES, KEYS, *build_rope_cache(S + 1, D)),
    ),
    "short tables": (
        ValueError,
        "cos",
        lambda: apply_rope(QUERIES, KEYS, *build_rope_cache(S - 1, D)),
    ),
    "tables by head": (
        ValueError,
        "cos",
        lambda: apply_rope(QUERIES, KEYS, BY_HEAD, BY_HEAD),
    ),
    **{
        f"{name} of {axes} axes": (
            ValueError,
            "q",
            partial(call, torch.ones(2, 1, S, H, D).flatten(0, 5 - axes)),
        )
        for axes in (2, 3, 5)
        for name, call in (
            ("rope_torch", lambda q: rope_torch(q, q, *TABLES)),
            ("apply_rope", lambda q: apply_rope(q, q, *TABLES)),
            ("module", lambda q: RotaryEmbedding(D)(q, q)),
            ("counted", lambda q: RotaryEmbedding(D)(q, q, seq_len=S)),
        )
    },
    "keys of other axes": (ValueError, "k", lambda: RotaryEmbedding(D)(QUERIES, KEYS[0])),
    "no queries": (TypeError, "q", lambda: RotaryEmbedding(D)([ONE], KEYS, FAR)),
    "no keys": (TypeError, "k", lambda: RotaryEmbedding(D)(QUERIES, None, FAR)),
    "listed positions": (
        *(TypeError, "position_ids"),
        lambda: RotaryEmbedding(D)(QUERIES, KEYS, FAR.tolist()),
    ),
    "no tables": (TypeError, "cos", lambda: rope_torch(QUERIES, KEYS, ONE, TABLES[1])),
    "half a table": (TypeError, "sin", lambda: apply_rope(QUERIES, KEYS, TABLES[0], ONE)),
    "no switch": (
        TypeError,
        "use_triton",
        lambda: apply_rope(QUERIES, KEYS, *TABLES, use_triton=ONE),
    ),
}


def test_other_axes_were_never_more_than_an_accident() -> None:
    q, tables = torch.ones(S, H, D), rotalabs_accel.build_rope_cache(S, D)
    assert rotalabs_accel.rope_torch(q, q, *tables)[0].shape == (1, S, H, D)  # another shape
    with pytest.raises(RuntimeError):
        rotalabs_accel.RotaryEmbedding(D)(q, q)
    # As the refusal says: batches of batches are one batch.
    q, k = (x[None].expand(3, *x.shape) for x in queries_and_keys())
    made = rope_torch(q.flatten(0, 1), k.flatten(0, 1), *TABLES)
    for ours, theirs in zip(made, rotalabs_accel.rope_torch(q, k, *tables), strict=True):
        assert worst_pair(ours.view(theirs.shape), theirs.double(), "interleaved") <= 1.8


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name: str) -> None:
    error, argument, call = REFUSED[name]
    with refuses(error, argument):
        call()
