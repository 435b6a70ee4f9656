"""Queries and keys by given tables, in one launch of the kernel's own source, and its replays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab_cuda
from ropelab.positions import Consecutive
from ropelab.precision import eps, narrow, widen
from ropelab_cuda import frameworks, recordings
from tests.ropelab.support import POSITIONS, complex_turned, exact_cos_sin, refuses
from tests.ropelab_cuda.forged import Forged
from tests.shim.builder import run
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

B, S, D, ROTARY = 2, 3, 27, 16
DTYPES = ("float64", "float32", "float16", "bfloat16")
IDS = np.array(POSITIONS[2:8]).reshape(B, S)  # shuffled, large, odd, of both signs
COS, SIN = exact_cos_sin(IDS, (1e3 ** -np.linspace(0, 1, ROTARY // 2)).tolist())
TURN = COS + 1j * SIN
Array = NDArray[Any]


def random(heads: int, dtype: str = "float32", dim: int = D) -> Array:
    return narrow(np.random.default_rng(heads).standard_normal((B, S, heads, dim)), dtype)


def poison(x: Array, dtype: str | None = None) -> Array:
    """Return an output amid guards, in which nothing is right yet."""
    made: Array = guarded(x.shape, narrow(np.zeros(1), dtype or x.dtype).dtype)
    return made


def near(actual: Array, truth: Array, times: float = 3.0) -> bool:
    """Tell whether numbers are near in eps of their format, of which pairs are up to 8 long."""
    return bool((np.abs(widen(actual) - truth) <= times * 8 * eps(actual.dtype)).all())


def counted() -> Any:
    """Count the launches."""
    return mock.patch("tests.shim.on_cpu.run", wraps=run)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", [("half", "half"), ("interleaved", "half")])
@pytest.mark.parametrize("inverse", [False, True])
def test_both_turn_by_their_tables_in_one_launch(
    dtype: str, layouts: tuple[str, str], inverse: bool
) -> None:
    q, k = random(5, dtype), random(2, dtype)
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    options |= {"rotary_offset": 3, "inverse": inverse}
    tables = [table.astype("float32" if dtype != "float64" else "float64") for table in (COS, SIN)]
    outs, places = (poison(q), poison(k)), (q.copy(), k.copy())
    with on_cpu(), counted() as launches:
        new = ropelab_cuda.apply_rotary_cached_qk(q, k, *tables, **options)
        into = ropelab_cuda.apply_rotary_cached_qk(q, k, *tables, out=outs, **options)
        answers = ropelab_cuda.apply_rotary_cached_qk_(*places, *tables, **options)
        assert launches.call_count == 3
    assert (into[0] is outs[0], into[1] is outs[1]) == (True, True)
    assert (answers[0] is places[0], answers[1] is places[1]) == (True, True)
    ends = (layouts[1], layouts[0]) if inverse else layouts
    turn = TURN.conj() if inverse else TURN
    for got, out, place, x in zip(new, outs, places, (q, k), strict=True):
        assert near(got, complex_turned(widen(x), turn, ends, 3))
        assert got[..., :3].tobytes() == x[..., :3].tobytes()
        assert got[..., 3 + ROTARY :].tobytes() == x[..., 3 + ROTARY :].tobytes()
        assert got.tobytes() == out.tobytes() == place.tobytes()


@pytest.mark.parametrize("tensor_format", ["bhsd", "sbhd", "thd"])
def test_every_format_and_views_of_one_projection(tensor_format: str) -> None:
    packed = random(9)
    before, tables = packed.copy(), [COS, SIN]
    if tensor_format == "thd":
        view = packed.reshape(B * S, 9, D)
        tables = [table.reshape(B * S, -1) for table in tables]
    else:
        view = packed.transpose(["bshd".index(letter) for letter in tensor_format])
    axis = tensor_format.index("h")
    q, k = np.split(view, [6], axis)[0], np.split(view, [6, 8], axis)[1]
    with on_cpu():
        ropelab_cuda.apply_rotary_cached_qk_(q, k, *tables, tensor_format=tensor_format)
    assert near(packed[:, :, :8], complex_turned(before, TURN)[:, :, :8])
    assert packed[:, :, 8].tobytes() == before[:, :, 8].tobytes()


def test_scales_are_each_ones_own_and_numbers_or_on_the_device() -> None:
    q, k = random(4, "float16"), random(1, "float16")
    tensor, outs = np.array([0.0625], np.float32), (poison(q, "float32"), poison(k, "float32"))
    for scale in ((0.0625, 3.0), (tensor, 3.0)):
        with on_cpu():
            ropelab_cuda.apply_rotary_cached_qk(
                q, k, COS, SIN, dtype="float32", scale=scale, out=outs
            )
        for got, x, by in zip(outs, (q, k), (0.0625, 3.0), strict=True):
            assert near(got * np.float32(by), complex_turned(widen(x), TURN))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("repeated", [False, True])
def test_positions_name_the_rows_of_both(layout: str, repeated: bool) -> None:
    """Of rows in disorder, amid others that nobody may read; the last one serves what is past."""
    rows = np.array([[9, 2, 4], [7, 3, 12]])
    tables = [np.full((13, ROTARY // 2), np.nan) for _ in range(2)]
    for table, values in zip(tables, (COS, SIN), strict=True):
        table[rows] = values
    if repeated:
        tables = [np.tile(t, 2) if layout == "half" else np.repeat(t, 2, -1) for t in tables]
    q, k, flag = random(5), random(2), np.zeros(3, np.int32)
    given = (q, k, *tables)
    options: dict[str, Any] = {"layout": layout, "repeated": repeated}
    past = np.where(rows == 12, 2**40, rows)
    with on_cpu():
        looked_up = ropelab_cuda.apply_rotary_cached_qk(*given, position_ids=rows, **options)
        with refuses(ValueError, "position_ids", f"got position {2**40};"):
            ropelab_cuda.apply_rotary_cached_qk_(*given, position_ids=past, **options)
        options |= {"position_ids": past, "overrun": "clamp", "overrun_flag": flag[1:2]}
        clamped = ropelab_cuda.apply_rotary_cached_qk(*given, **options)
        ropelab_cuda.apply_rotary_cached_qk_(*given, **options)
    assert flag.tolist() == [0, 1, 0]
    for got, same, place, heads in zip(looked_up, clamped, (q, k), (5, 2), strict=True):
        assert near(got, complex_turned(widen(random(heads)), TURN, (layout, layout)))
        assert got.tobytes() == same.tobytes() == place.tobytes()


# ------------------------------------------------------------------------------------------------
# What is refused, before anything is written


def tensor(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(*shape, dtype=dtype)


X, TABLE = tensor(1, 3, 2, 4), tensor(3, 2)
PAIR = (ropelab_cuda.apply_rotary_cached_qk, ropelab_cuda.apply_rotary_cached_qk_)


@pytest.mark.parametrize("call", PAIR)
@pytest.mark.parametrize(
    ("change", "kind", "name", "came"),
    [
        ({"k": X.double()}, TypeError, "k", "float64"),
        ({"k": tensor(1, 4, 2, 4)}, ValueError, "k", "(1, 4, 2, 4)"),
        ({"k": tensor(1, 3, 2, 6)}, ValueError, "k", "6"),
        ({"k": X[0]}, ValueError, "k", "(3, 2, 4)"),
        ({"k": X.numpy()}, TypeError, "k", "ndarray"),
        ({"q": X.int()}, TypeError, "q", "int32"),
        ({"sin": TABLE.double()}, TypeError, "sin", "float64"),
        ({"sin": tensor(3, 1)}, ValueError, "sin", "1"),
        ({"cos": tensor(4, 2)}, ValueError, "cos", "(4, 2)"),
        ({"rotary_offset": 1}, ValueError, "rotary_offset", "1"),
        ({"inverse": 0}, TypeError, "inverse", "0"),
        ({"layout": "neox"}, ValueError, "layout", "neox"),
        ({"overrun": "clamp"}, ValueError, "overrun", "clamp"),
    ],
)
def test_what_does_not_belong_together(
    call: Any, change: dict[str, Any], kind: type[Exception], name: str, came: str
) -> None:
    given: dict[str, Any] = {"q": X.clone(), "k": X.clone(), "cos": TABLE, "sin": TABLE, **change}
    with on_cpu(), refuses(kind, name, came):
        call(**given)
    assert torch.equal(given["q"], X if "q" not in change else X.int())


@pytest.mark.parametrize("name", ["k", "cos", "sin"])
@pytest.mark.parametrize("call", PAIR)
def test_tensors_of_two_devices(call: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks.CuPy, "stream", lambda _self, device: 0x5EED + device)
    given = {"q": X, "k": X.clone(), "cos": TABLE, "sin": TABLE}
    forged = {key: Forged(x, (2, int(key == name))) for key, x in given.items()}
    with refuses(ValueError, name, "cuda:0", "cuda:1"):
        call(**forged)


def test_outputs_and_scales_that_are_no_pair() -> None:
    rotate: Any = ropelab_cuda.apply_rotary_cached_qk
    with on_cpu():
        for out in (X, (X,), "no tensors"):
            with refuses(TypeError, "out", "(q_out, k_out)"):
                rotate(X, X, TABLE, TABLE, out=out)
        with refuses(ValueError, "out[1]", "(1, 3, 1, 4)"):
            rotate(X, X, TABLE, TABLE, out=(X.clone(), tensor(1, 3, 1, 4)))
        with refuses(ValueError, "scale", "3"):
            rotate(X, X, TABLE, TABLE, scale=(1, 2, 3))
        with refuses(ValueError, "scale[1]", "-2"):
            rotate(X, X, TABLE, TABLE, scale=(torch.ones(1), -2))


def shared(memory: torch.Tensor) -> dict[str, tuple[dict[str, Any], str, str]]:
    """Return what lies in one memory, and the two names that the error says."""
    first, shifted = memory[:24].view(1, 3, 2, 4), memory[8:32].view(1, 3, 2, 4)
    inside, ids = memory[10:16].view(3, 2), memory.view(torch.int32)[20:23]
    return {
        "keys in queries": ({"q": first, "k": shifted}, "q", "k"),
        "the same twice": ({"q": first, "k": first}, "q", "k"),
        "cosines in queries": ({"q": first, "cos": inside}, "q", "cos"),
        "sines in keys": ({"k": first, "sin": inside}, "k", "sin"),
        "rows in keys": (
            {"k": first, "position_ids": ids, "overrun": "clamp"},
            "k",
            "position_ids",
        ),
        "two outputs": ({"out": (first, shifted)}, "out[1]", "out[0]"),
        "queries in both": ({"q": first, "out": (X.clone(), shifted)}, "out[1]", "q"),
        "queries beside": ({"q": first, "out": (shifted, X.clone())}, "out[0]", "q"),
        "keys in the first": ({"k": first, "out": (first, X.clone())}, "out[0]", "k"),
        "cosines in the second": ({"cos": inside, "out": (X.clone(), first)}, "out[1]", "cos"),
    }


@pytest.mark.parametrize("kind", shared(torch.zeros(64)))
def test_memory_that_is_shared_is_refused_before_anything_is_written(kind: str) -> None:
    memory = torch.randn(64, generator=torch.Generator().manual_seed(0))
    before = memory.clone()
    change, name, other = shared(memory)[kind]
    given: dict[str, Any] = {"q": X.clone(), "k": X.clone(), "cos": TABLE, "sin": TABLE, **change}
    rotate: Any = PAIR["out" not in change]
    with on_cpu(), refuses(ValueError, name, other):
        rotate(**given)
    assert torch.equal(memory, before)


# ------------------------------------------------------------------------------------------------
# Replays


@pytest.fixture
def no_plan() -> Iterator[None]:
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


class WholeWayError(Exception):
    """A call went the whole way."""


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.calls.take_tensors", side_effect=WholeWayError)


WAYS = ("new", "out", "in place")


@pytest.mark.usefixtures("no_plan")
@pytest.mark.parametrize("rows", ["by token", "by ids", "counted"])
@pytest.mark.parametrize("way", WAYS)
def test_other_tensors_of_the_same_kind_are_replayed(way: str, rows: str) -> None:
    for number in range(3):
        q, k = (torch.randn(B, S, heads, D) for heads in (4, 2))
        wanted = [complex_turned(x.double().numpy(), TURN[number % 2 :][:1]) for x in (q, k)]
        cos, sin = (torch.from_numpy(table[number % 2]) for table in (COS, SIN))
        options: dict[str, Any] = {}
        if rows != "by token":
            cos, sin = (torch.cat([table, table, table]) for table in (cos, sin))
            place = torch.arange(S) + 3 if rows == "by ids" else Consecutive(3 * (number % 2))
            options = {"position_ids": place, "overrun": "clamp"}
        versions = q._version, k._version
        with only_replays() if number else nullcontext():
            if way == "in place":
                got = ropelab_cuda.apply_rotary_cached_qk_(q, k, cos, sin, **options)
                assert (q._version, k._version) == (versions[0] + 1, versions[1] + 1)
                assert got[0] is q
            else:
                outs = [torch.full_like(x, torch.nan) for x in (q, k)] if way == "out" else None
                got = ropelab_cuda.apply_rotary_cached_qk(q, k, cos, sin, out=outs, **options)
                assert outs is None or (got[0] is outs[0] and got[1] is outs[1])
        for actual, truth in zip(got, wanted, strict=True):
            assert near(actual.numpy(), truth)


@pytest.mark.usefixtures("no_plan")
def test_a_replay_reads_the_scales_that_it_is_given() -> None:
    q, k = (torch.randn(B, S, heads, D) for heads in (4, 2))
    cos, sin = torch.from_numpy(COS), torch.from_numpy(SIN)
    for number, (a, b) in enumerate(((0.5, 2.0), (4.0, 0.25))):
        scale = torch.tensor([a]), torch.tensor(b)
        with only_replays() if number else nullcontext():
            both = ropelab_cuda.apply_rotary_cached_qk(
                q, k, cos, sin, scale=scale, dtype=torch.float64
            )
        for y, x, by in zip(both, (q, k), (a, b), strict=True):
            truth = complex_turned(x.double().numpy(), TURN) / by
            np.testing.assert_allclose(y.numpy(), truth, rtol=0, atol=1e-12)


def different() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    q, k = (torch.randn(B, S, heads, D) for heads in (4, 2))
    return {
        "heads": ({"k": q.clone()}, {}),
        "dtype": ({"q": q.half(), "k": k.half()}, {}),
        "tables": ({"cos": torch.ones(S, 8).half(), "sin": torch.ones(S, 8).half()}, {}),
        "layout": ({}, {"layout": "interleaved"}),
        "type of a flag": ({}, {"inverse": 0}),
        "type of another": ({}, {"repeated": 0}),
        "inverse": ({}, {"inverse": True}),
        "repeated": ({}, {"repeated": True}),
        "rows": ({}, {"position_ids": torch.arange(S), "overrun": "clamp"}),
        "a single word": ({}, {"overrun": "clamp"}),
    }


@pytest.mark.usefixtures("no_plan")
@pytest.mark.parametrize("call", PAIR)
@pytest.mark.parametrize("reason", different())
def test_what_differs_goes_the_whole_way(call: Any, reason: str) -> None:
    q, k = (torch.randn(B, S, heads, D) for heads in (4, 2))
    good: dict[str, Any] = {"q": q, "k": k, "cos": torch.ones(S, 8), "sin": torch.ones(S, 8)}
    call(**good)
    with only_replays():
        call(**good)
        tensors, options = different()[reason]
        with pytest.raises(WholeWayError):
            call(**{**good, **tensors}, **options)


@pytest.mark.usefixtures("no_plan")
def test_a_gradient_of_keys_or_tables_is_not_lost_by_a_replay() -> None:
    for name in ("k", "sin"):
        given: dict[str, Any] = {"q": X.clone(), "k": X.clone(), "cos": TABLE}
        given["sin"] = TABLE.clone()
        ropelab_cuda.apply_rotary_cached_qk(**given)
        given[name].requires_grad_()
        with refuses(ValueError, name, "requires grad"):
            ropelab_cuda.apply_rotary_cached_qk(**given)
