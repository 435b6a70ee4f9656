"""Positions as callers say them: the gate's words, replays, and what no host may read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK
from ropelab_cuda import recordings
from tests.ropelab.support import refuses
from tests.ropelab_cuda.forged import Forged
from tests.shim.on_cpu import on_cpu

SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(0, 8, 2) / 8))
X = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU tensors pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


class ReadError(Exception):
    """A value of a tensor was read."""


def never_read() -> Any:
    return mock.patch("ropelab_cuda.torch_tensors.Torch.read", side_effect=ReadError)


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.calls.take_tensors", side_effect=ReadError)


def close(actual: torch.Tensor, wanted: Any) -> bool:
    return bool(np.abs(actual.numpy() - wanted).max() <= 2e-6)


def objects() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """Return two objects of each kind, of the same shapes, and the options beside them."""
    one, two = torch.tensor([3, 70_000]), torch.tensor([131_071, -5])
    bounds, other = torch.tensor([0, 1, 6]), torch.tensor([0, 4, 6])
    halves, quarters = torch.tensor([0, 4, 12]), torch.tensor([0, 8, 12])
    pack = {"tensor_format": "thd"}
    return {
        "number": (Consecutive(3), Consecutive(-70_000), {}),
        "offsets": (Consecutive(one), Consecutive(two), {}),
        "pack": (Packed(bounds, 7), Packed(other, -7), pack),
        "pack behind caches": (Packed(bounds, one), Packed(other, two), pack),
        "shard": (Packed(halves, one, 2, 1), Packed(quarters, two, 2, 1), pack),
    }


@pytest.mark.shim
@pytest.mark.parametrize("kind", objects())
def test_the_host_reads_nothing_and_replays_other_values(kind: str) -> None:
    first, second, options = objects()[kind]
    x = X.reshape(6, 4, 8) if options else X
    q, k = x, x[..., :1, :].contiguous()
    with never_read():
        ropelab_cuda.apply_rotary_qk_(q.clone(), k.clone(), first, SPECTRUM, **options)
        ropelab_cuda.apply_rotary(q, first, SPECTRUM, **options)
        ropelab_cuda.apply_rotary(q, first, SPECTRUM, out=torch.zeros_like(q), **options)
        with only_replays():
            places = q.clone(), k.clone()
            answers = ropelab_cuda.apply_rotary_qk_(*places, second, SPECTRUM, **options)
            new = ropelab_cuda.apply_rotary(q, second, SPECTRUM, **options)
            out = torch.zeros_like(q)
            same = ropelab_cuda.apply_rotary(q, second, SPECTRUM, out=out, **options)
    assert answers[0] is places[0]
    assert same is out
    wanted = ropelab.apply_rotary(q.double(), second, SPECTRUM, **options)
    wanted_keys = ropelab.apply_rotary(k.double(), second, SPECTRUM, **options)
    for actual in (places[0], new, out):
        assert close(actual, wanted)
    assert close(places[1], wanted_keys)


@pytest.mark.shim
def test_what_differs_between_objects_goes_the_whole_way() -> None:
    x, pack = X.reshape(6, 4, 8), {"tensor_format": "thd"}
    bounds = torch.tensor([0, 8, 12])
    ropelab_cuda.apply_rotary(x, Packed(bounds, cp_size=2), SPECTRUM, **pack)  # type: ignore[arg-type]
    for other in (
        Packed(bounds, cp_size=2, cp_rank=1),
        Packed(bounds, cp_size=3),
        Packed(bounds.int(), cp_size=2),
        Packed(bounds[1:], cp_size=2),
        Packed(bounds, torch.tensor([0, 0]), cp_size=2),
        Consecutive(bounds[:1]),
        Consecutive(0),
        torch.arange(6),
    ):
        with only_replays(), pytest.raises(ReadError):
            ropelab_cuda.apply_rotary(x, other, SPECTRUM, **pack)  # type: ignore[arg-type]


@pytest.mark.shim
def test_a_number_that_would_leave_64_bits_is_refused_by_a_known_plan() -> None:
    ropelab_cuda.apply_rotary(X, Consecutive(5), SPECTRUM)
    with refuses(ValueError, "offset", "2**63 - 1"):
        ropelab_cuda.apply_rotary(X, Consecutive(2**63 - 2), SPECTRUM)


@pytest.mark.shim
def test_rows_of_tables_are_replayed_where_nobody_looks() -> None:
    cos, sin = (torch.from_numpy(t) for t in ropelab.cos_sin(np.arange(9), SPECTRUM))
    ids = torch.tensor([[3, 8, 0]])
    for place, other in ((ids, ids.flip(1)), (Consecutive(2), Consecutive(5))):
        options: dict[str, Any] = {"overrun": "clamp"}
        for position_ids in (place, other):
            new = ropelab_cuda.apply_rotary_cached(
                X, cos, sin, position_ids=position_ids, **options
            )
            inside = X.clone()
            ropelab_cuda.apply_rotary_cached_(
                inside, cos, sin, position_ids=position_ids, **options
            )
            wanted = ropelab.apply_rotary(X.double(), position_ids, SPECTRUM)
            assert close(new, wanted)
            assert close(inside, wanted)
            calls = only_replays()
            calls.start()
        mock.patch.stopall()
        with only_replays(), pytest.raises(ReadError):  # it looks at the positions each time
            ropelab_cuda.apply_rotary_cached(X, cos, sin, position_ids=other)
        with only_replays(), pytest.raises(ReadError):
            ropelab_cuda.apply_rotary_cached(X, cos, sin, position_ids=other, repeated=True)
    with refuses(ValueError, "position_ids", "got position 9;"):
        ropelab_cuda.apply_rotary_cached(X, cos, sin, position_ids=ids + 1)


@pytest.mark.shim
def test_scaled_results_are_replayed_by_offsets_and_scales_of_the_device() -> None:
    cos, sin = (torch.from_numpy(t) for t in ropelab.cos_sin(np.arange(9), SPECTRUM))
    for scale, start in ((0.5, 1), (0.25, 5)):
        place, factor = Consecutive(torch.tensor([start, start + 1])), torch.tensor([scale])
        options: dict[str, Any] = {"dtype": torch.float64, "scale": factor}
        wanted = ropelab.apply_rotary(X.double(), place, SPECTRUM) / scale
        counted = ropelab_cuda.apply_rotary(X, place, SPECTRUM, **options)
        options |= {"position_ids": place, "overrun": "clamp", "out": torch.zeros_like(counted)}
        looked_up = ropelab_cuda.apply_rotary_cached(X, cos, sin, **options)
        for actual in (counted, looked_up):
            assert actual.dtype == torch.float64
            assert np.abs(actual.numpy() - wanted).max() <= 1e-5
        calls = only_replays()
        calls.start()
    mock.patch.stopall()


@pytest.mark.shim
def test_tables_are_not_looked_at_when_positions_are_clamped() -> None:
    cos, sin = (torch.from_numpy(t) for t in ropelab.cos_sin(np.arange(9), SPECTRUM))
    flag = torch.zeros(1, dtype=torch.int32)
    options: dict[str, Any] = {"position_ids": torch.tensor([9, 0, 1]), "overrun": "clamp"}
    with never_read():
        ropelab_cuda.apply_rotary_cached(X, cos, sin, overrun_flag=flag, **options)
        with pytest.raises(ReadError):
            ropelab_cuda.apply_rotary_cached(X, cos, sin, position_ids=torch.tensor([0, 1, 2]))
    assert flag.tolist() == [1]
    assert flag._version == 1


@pytest.mark.shim
def test_a_rule_that_depends_on_the_length_is_asked_at_that_of_whole_sequences() -> None:
    rope = ropelab.Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=8)
    x = X.reshape(6, 4, 8)
    for place, options, q in (
        (Consecutive(torch.tensor([3, 998])), {}, X),
        (Consecutive(998), {}, X),
        (
            Packed(torch.tensor([0, 4, 12]), torch.tensor([0, 90]), 2, 1),
            {"tensor_format": "thd"},
            x,
        ),
    ):
        q_out, _ = ropelab_cuda.rotate(rope, q, q, place, **options)  # type: ignore[arg-type]
        wanted, _ = ropelab.rotate(rope, q.double(), q.double(), place, **options)  # type: ignore[arg-type]
        assert np.abs(q_out.numpy() - wanted).max() <= 1e-5


def refused() -> dict[str, tuple[type[Exception], str, str, Any]]:
    ids = torch.tensor([0, 1])
    return {
        "a list": (TypeError, "offset", "list", Consecutive([0, 1])),
        "floats": (TypeError, "offset", "float32", Consecutive(torch.zeros(2))),
        "uint64": (TypeError, "offset", "uint64", Consecutive(ids.to(torch.uint64))),
        "three": (ValueError, "offset", "(3,)", Consecutive(torch.arange(3))),
        "a pack of rows": (ValueError, "position_ids", "'thd'", Packed(ids)),
        "a class": (TypeError, "position_ids", "type", Consecutive),
    }


@pytest.mark.parametrize("reason", refused())
def test_an_object_that_cannot_be_taken(reason: str) -> None:
    error, name, word, place = refused()[reason]
    with refuses(error, name, word):
        ropelab_cuda.apply_rotary(X, place, SPECTRUM)


def refused_packs() -> dict[str, tuple[type[Exception], str, str, Any]]:
    ids = torch.tensor([0, 2, 6])
    return {
        "a list": (TypeError, "cu_seqlens", "list", Packed([0, 2, 6])),
        "floats": (TypeError, "cu_seqlens", "float32", Packed(ids.float())),
        "offsets of three": (ValueError, "offset", "(3,)", Packed(ids, shapeless(torch.arange(3)))),
        "a matrix": (ValueError, "cu_seqlens", "(1, 3)", Packed(shapeless(ids[None]))),
        "too many ranks": (ValueError, "cp_size", "2147483648", Packed(ids, cp_size=2**31)),
    }


def shapeless(tensor: torch.Tensor) -> Forged:
    """Return a device tensor that tells its shape by its capsule alone."""
    forged = Forged(tensor)
    del forged.shape
    return forged


@pytest.mark.parametrize("reason", refused_packs())
def test_a_pack_that_cannot_be_taken(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropelab_cuda.torch_tensors.Torch.stream", lambda _self, _device: 0)
    error, name, word, place = refused_packs()[reason]
    with refuses(error, name, word):
        ropelab_cuda.apply_rotary(X.reshape(6, 4, 8), place, SPECTRUM, tensor_format="thd")


def test_an_offset_inside_of_what_is_written_is_refused() -> None:
    memory = torch.zeros(2 * 3 * 4 * 8)
    x, inside = memory.view(2, 3, 4, 8), memory.view(torch.int32)
    with refuses(ValueError, "x", "offset"):
        ropelab_cuda.apply_rotary_(x, Consecutive(inside[4:6]), SPECTRUM)
    packed = memory.view(6, 4, 8)
    with refuses(ValueError, "x", "cu_seqlens"):
        ropelab_cuda.apply_rotary_(packed, Packed(inside[:3]), SPECTRUM, tensor_format="thd")


def test_memory_of_the_host_is_refused_as_ever() -> None:
    with mock.patch("ropelab_cuda._memory.CUDA_DEVICES", {2}), refuses(ValueError, "x", "CPU"):
        ropelab_cuda.apply_rotary(X, Consecutive(np.array([1, 2])), SPECTRUM)
