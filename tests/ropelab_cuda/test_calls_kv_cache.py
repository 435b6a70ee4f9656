"""Calls that write into caches: what they refuse, and that replayed ones do no less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab_cuda import recordings
from tests.ropelab.support import refuses
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(0, 16, 2) / 16))
B, S, H, KV, D = 2, 5, 6, 2, 24
BLOCKS, SIZE = 4, 6
PLACES = ("apply_rotary_kv_cache", "apply_rotary_kv_cache_")


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU tensors pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


class WholeWayError(Exception):
    """A call went the whole way."""


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.calls_kv_cache._go_the_whole_way", side_effect=WholeWayError)


def fresh(seed: int, **change: Any) -> dict[str, Any]:
    """Return new tensors of the same kind, with other numbers, positions and slots."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, S, n, D, generator=generator) for n in (H, KV, KV))
    ids = torch.randint(0, 131_072, (B, S), generator=generator)
    slots = torch.randperm(BLOCKS * SIZE, generator=generator)[: B * S].view(B, S) - 2
    given: dict[str, Any] = {"q": q, "k": k, "v": v, "position_ids": ids, "spectrum": SPECTRUM}
    given |= {f"{x}_cache": torch.full((BLOCKS, SIZE, KV, D), 7.0) for x in "kv"}
    return given | {"slots": slots, **change}


def wanted(given: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the specification leaves in q, and in both caches."""
    told: dict[str, Any] = {
        key: value.clone().numpy() if isinstance(value, torch.Tensor) else value
        for key, value in given.items()
        if key not in ("out", "overrun_flag")
    }
    for scale in ("k_scale", "v_scale"):
        if scale in told:
            told[scale] = float(np.reshape(told[scale], ()))
    return ropelab.apply_rotary_kv_cache(**told), told["k_cache"], told["v_cache"]


def close(actual: torch.Tensor, true: Any) -> bool:
    return bool(np.allclose(actual.numpy(), true, rtol=1e-6, atol=2e-6))


def ways() -> dict[str, Any]:
    """Return tensors that a call may be given besides, new for each call."""
    return {
        "plain": dict,
        "out": lambda: {"out": torch.zeros(B, S, H, D)},
        "flag": lambda: {"overrun_flag": torch.zeros(1, dtype=torch.int32)},
        "numbers": lambda: {"k_scale": 0.5, "v_scale": 3.0},
        "scales": lambda: {"k_scale": torch.rand(1) + 0.5, "v_scale": torch.rand(1) + 0.5},
        "one scale": lambda: {"v_scale": torch.rand(()) + 0.5},
        "all": lambda: {
            "out": torch.zeros(B, S, H, D),
            "overrun_flag": torch.zeros(1, dtype=torch.int32),
            "k_scale": torch.rand(1) + 0.5,
            "v_scale": torch.rand(1) + 0.5,
        },
    }


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("way", ways())
def test_other_tensors_of_the_same_kind_are_replayed(name: str, way: str) -> None:
    call, in_place = getattr(ropelab_cuda, name), name.endswith("_")
    more = ways()[way]

    def options() -> dict[str, Any]:
        return {key: value for key, value in more().items() if not (in_place and key == "out")}

    call(**fresh(0, **options()))
    for seed in (1, 2):
        given = fresh(seed, **options())
        told, overrun = dict(given), seed == 2 and "overrun_flag" in given
        if overrun:
            told["slots"] = given["slots"].clone()
            given["slots"][0, 0], told["slots"][0, 0] = 10**6, -1
        expected = wanted(told)
        inputs = {key: given[key].clone() for key in ("q", "k", "v", "position_ids", "slots")}
        versions = {key: given[key]._version for key in ("q", "k_cache", "v_cache", "slots")}
        with only_replays():
            rotated = call(**given)
        assert close(rotated, expected[0])
        assert close(given["k_cache"], expected[1])
        assert close(given["v_cache"], expected[2])
        assert rotated is given.get("q" if in_place else "out", rotated)
        for key, before in inputs.items():
            assert (key == "q" and in_place) or torch.equal(given[key], before)
        for key, version in versions.items():
            bumped = key.endswith("cache") or (key == "q" and in_place)
            assert given[key]._version == version + bumped
        if "overrun_flag" in given:
            assert given["overrun_flag"].tolist() == [int(overrun)]


def test_what_a_plan_depends_on_is_told_apart() -> None:
    ropelab_cuda.apply_rotary_kv_cache(**fresh(0))
    heads_first = torch.zeros(BLOCKS, KV, SIZE, D).transpose(1, 2)
    for change in (
        {"layout": "interleaved"},
        {"k_scale": 2.0},
        {"v_scale": torch.ones(1)},
        {"rotary_offset": 8},
        {"k_cache": heads_first},
        {"v_cache": torch.zeros(BLOCKS, SIZE, KV, D, dtype=torch.float16)},
        {"slots": torch.full((B, S), -1, dtype=torch.int32)},
        {"spectrum": ropelab.Spectrum(SPECTRUM.inv_freq)},
        {"overrun_flag": torch.zeros(1, dtype=torch.int32)},
        {"out": torch.zeros(B, S, H, D)},
    ):
        with only_replays(), pytest.raises(WholeWayError):
            ropelab_cuda.apply_rotary_kv_cache(**fresh(1, **change))
    with only_replays(), pytest.raises(WholeWayError):
        ropelab_cuda.apply_rotary_kv_cache_(**fresh(1))


@pytest.mark.parametrize("name", PLACES)
def test_a_replay_refuses_what_the_whole_way_refuses(name: str) -> None:
    call = getattr(ropelab_cuda, name)
    more: dict[str, Any] = {"overrun_flag": torch.zeros(1, dtype=torch.int32)}
    call(**fresh(0, **more))
    memory = torch.zeros(2 * BLOCKS * SIZE * KV * D)
    shared = [memory[n : n + BLOCKS * SIZE * KV * D].view(BLOCKS, SIZE, KV, D) for n in (0, 8)]
    keys = memory[: B * S * KV * D].view(B, S, KV, D)
    for change, error, argument in (
        ({"k_cache": shared[0], "v_cache": shared[1]}, ValueError, "v_cache"),
        ({"k_cache": shared[0], "k": keys}, ValueError, "k_cache"),
        ({"v_cache": shared[0], "v": keys}, ValueError, "v_cache"),
        ({"v": fresh(1)["v"].requires_grad_()}, ValueError, "v"),
        ({"v_cache": fresh(1)["v_cache"].requires_grad_()}, ValueError, "v_cache"),
        ({"slots": fresh(1)["slots"].double()}, TypeError, "slots"),
    ):
        with refuses(error, argument):
            call(**fresh(1, **more, **change))
    assert not memory.any()


# ------------------------------------------------------------------------------------------------
# What the whole way refuses.


def refused() -> dict[str, tuple[type[Exception], str, str, dict[str, Any]]]:
    good = fresh(0)
    k, v, k_cache, v_cache, slots = (
        good[name] for name in ("k", "v", "k_cache", "v_cache", "slots")
    )
    grad = torch.ones(BLOCKS, SIZE, KV, D, requires_grad=True)
    return {
        "cache list": (TypeError, "k_cache", "list", {"k_cache": [1.0]}),
        "cache numpy": (TypeError, "v_cache", "ndarray", {"v_cache": v_cache.numpy()}),
        "cache integers": (TypeError, "k_cache", "int32", {"k_cache": k_cache.int()}),
        "cache bytes": (TypeError, "k_cache", "uint8", {"k_cache": k_cache.to(torch.uint8)}),
        "cache stride": (ValueError, "k_cache", "last stride", {"k_cache": cache_of_steps()}),
        "cache grad": (ValueError, "v_cache", "requires grad", {"v_cache": grad}),
        "cache shared": (
            ValueError,
            "v_cache",
            "share memory",
            {"v_cache": k_cache[:1].expand(BLOCKS, SIZE, KV, D)},
        ),
        "cache heads": (ValueError, "k_cache", "(4, 6, 1, 24)", {"k_cache": k_cache[:, :, :1]}),
        "cache width": (ValueError, "v_cache", "(4, 6, 2, 20)", {"v_cache": k_cache[..., :20]}),
        "caches": (ValueError, "v_cache", "(3, 6)", {"v_cache": k_cache[:3].clone()}),
        "one cache": (ValueError, "v_cache", "k_cache", {"v_cache": k_cache}),
        "cache is k": (ValueError, "k_cache", "k does", {"k_cache": k.new_zeros(0)}),
        "values dtype": (TypeError, "v", "float64", {"v": v.double()}),
        "keys dtype": (TypeError, "k", "float16", {"k": k.half()}),
        "values heads": (ValueError, "v", "(2, 5, 1, 24)", {"v": v[:, :, :1]}),
        "slots float": (TypeError, "slots", "float32", {"slots": slots.float()}),
        "slots shape": (ValueError, "slots", "(4,)", {"slots": slots[0, :4]}),
        "slots uint64": (TypeError, "slots", "uint64", {"slots": slots.to(torch.uint64)}),
        "slots list": (TypeError, "slots", "list", {"slots": [0]}),
        "scale": (ValueError, "k_scale", "-1.0", {"k_scale": -1.0}),
        "scale of two": (ValueError, "v_scale", "(2,)", {"v_scale": torch.ones(2)}),
        "scale of doubles": (TypeError, "v_scale", "float64", {"v_scale": torch.ones(1).double()}),
        "flag dtype": (TypeError, "overrun_flag", "int64", {"overrun_flag": slots[0, :1]}),
        "flags": (ValueError, "overrun_flag", "(2,)", {"overrun_flag": torch.zeros(2).int()}),
        "layout": (ValueError, "layout", "'neox'", {"layout": "neox"}),
        "angles": (ValueError, "angles", "'fast'", {"angles": "fast"}),
        "offset": (ValueError, "rotary_offset", "9", {"rotary_offset": 9}),
        "positions": (ValueError, "position_ids", "(4,)", {"position_ids": torch.arange(4)}),
    }


def cache_of_steps() -> torch.Tensor:
    return torch.ones(BLOCKS, SIZE, KV, 2 * D)[..., ::2]


@pytest.mark.parametrize("reason", refused())
@pytest.mark.parametrize("name", ["apply_rotary_kv_cache", "apply_rotary_kv_cache_"])
def test_what_cannot_be_taken_is_refused_before_anything_is_written(reason: str, name: str) -> None:
    kind, argument, came, change = refused()[reason]
    given = fresh(1) | change
    if reason == "cache is k":
        memory = torch.zeros(BLOCKS * SIZE * KV * D)
        given |= {"k_cache": memory.view(BLOCKS, SIZE, KV, D)}
        given |= {"k": memory[: B * S * KV * D].view(B, S, KV, D)}
    if reason == "one cache":
        given["v_cache"] = given["k_cache"]
    before = {key: value.clone() for key, value in given.items() if isinstance(value, torch.Tensor)}
    with refuses(kind, argument, came):
        getattr(ropelab_cuda, name)(**given)
    for key, value in before.items():
        assert torch.equal(given[key], value), key


def test_a_read_only_cache_is_refused() -> None:
    given: dict[str, Any] = {
        key: value.numpy() if isinstance(value, torch.Tensor) else value
        for key, value in fresh(0).items()
    }
    given["v_cache"].flags.writeable = False
    with refuses(ValueError, "v_cache", "read-only"):
        ropelab_cuda.apply_rotary_kv_cache(**given)
