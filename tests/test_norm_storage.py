"""Norms whose results go out in another format and over scales, executed on the CPU."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import ropelab_cuda
from ropelab.positions import Consecutive
from ropelab.precision import eps
from ropelab_cuda import calls
from tests.ropelab.support import refuses
from tests.ropelab_cuda.norms import (
    BOUNDS,
    DTYPES,
    fused,
    random,
    specified,
    spectrum,
    weights_of,
    worst,
)
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

# float64 is what the specification rounds in as well; over a scale two roundings come in.
STORED = {**BOUNDS, "float64": 12.0, "float32": 10.0, "float8_e4m3fn": 1.01, "float8_e5m2": 1.01}


@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("across", [False, True])
def test_results_in_another_format_and_over_scales(source: str, target: str, across: bool) -> None:
    """Every format into every other; one scale is a number, the other lies on the device."""
    q, k = (random(2, 3, h, 39, dtype=source, seed=h) for h in (9, 2))
    weights = [np.abs(weights_of(h, 39, "float32", across, 7 + h)) for h in (9, 2)]
    ids = np.array([[0, 131_071, 5], [99_999, 77, 4095]])
    numbers, number = spectrum(24, attention_factor=1.25), np.array([0.07], np.float32)
    for ends in (("half", None), ("interleaved", "half")):
        options: dict[str, Any] = {"layout": ends[0], "output_layout": ends[1], "dtype": target}
        options |= {"across_heads": across, "weight_offset": 1.0, "rotary_offset": 4}
        given: Any = (*weights, ids, numbers)
        wanted = specified(q, k, *given, scale=(0.03, float(number[0])), **options)
        outs = tuple(guarded(want.shape, want.dtype) for want in wanted)
        options["scale"] = (0.03, number)
        with on_cpu():
            new = fused(q, k, *given, **options)
            assert fused(q, k, *given, out=outs, **options) == outs
        drift = 131_071 * 2 * np.pi * 2.0**-65 / eps(target)  # of 64-bit turns
        for got, out, want in zip(new, outs, wanted, strict=True):
            assert got.tobytes() == out.tobytes()
            assert worst(got, want, ends[1] or ends[0], 24, 4) <= STORED[target] + drift


@pytest.mark.parametrize("across", [False, True])
def test_a_scale_alone_keeps_the_format_and_goes_in_place(across: bool) -> None:
    places = tuple(random(2, 3, h, 24, dtype="bfloat16", seed=h) for h in (7, 2))
    given = (None, None, np.arange(3) * 1001, spectrum(16))
    options: dict[str, Any] = {"across_heads": across, "output_layout": "interleaved"}
    wanted = specified(*places, *given, scale=0.3, **options)
    with on_cpu():
        assert fused(*places, *given, scale=0.3, out=places, **options) == places
    for place, want in zip(places, wanted, strict=True):
        assert worst(place, want, "interleaved", 16) <= BOUNDS["bfloat16"]


def test_more_heads_together_than_a_block_keeps_go_out_in_eight_bits() -> None:
    q, k = (random(1, 2, h, 64, dtype="float64", seed=h) for h in (150, 37))
    weights = [weights_of(h, 64, "float64", across=True, seed=h) for h in (150, 37)]
    options: dict[str, Any] = {"across_heads": True, "dtype": "float8_e4m3fn", "scale": (0.3, 0.05)}
    given = (*weights, np.array([3, 4]), spectrum(64))
    with on_cpu():
        got = fused(q, k, *given, **options)
    for one, want in zip(got, specified(q, k, *given, **options), strict=True):
        assert one.tobytes() == want.tobytes()


def test_another_storage_is_another_plan_and_scales_are_read_anew() -> None:
    q, k, ids = torch.randn(1, 3, 4, 12), torch.randn(1, 3, 2, 12), torch.tensor([70, 800, 9])
    weights, numbers = (torch.randn(12), torch.randn(12)), spectrum(12)
    several: list[dict[str, Any]] = [{}, {"dtype": "float64"}, {"scale": 0.5}, {"scale": (2.0, 3)}]
    whole_way = mock.patch("ropelab_cuda.calls_norm.take_tensors", wraps=calls.take_tensors)
    with on_cpu(), whole_way as taken:
        for number in (0.3, 7.0):
            on_device = (torch.tensor(number), torch.tensor([2 * number]))
            meant = {"scale": tuple(float(scale) for scale in on_device)}
            for options in (*several, {"scale": on_device}):
                told = meant if options.get("scale") is on_device else options
                arrays = (x.numpy() for x in (q, k, *weights, ids))
                wanted = specified(*arrays, numbers, **told)
                actual = fused(q, k, *weights, ids, numbers, **options)
                for got, want in zip(actual, wanted, strict=True):
                    assert worst(got.numpy(), want, "half", 12) <= STORED[str(want.dtype)]
    assert taken.call_count == len(several) + 1  # the second time they are replayed


def test_counted_positions_are_replayed_with_scales_on_the_device() -> None:
    q, k = torch.randn(2, 3, 4, 12), torch.randn(2, 3, 2, 12)
    weights, numbers = (torch.randn(12), None), spectrum(12)
    whole_way = mock.patch("ropelab_cuda.calls_norm.take_tensors", wraps=calls.take_tensors)
    with on_cpu(), whole_way as taken:
        for first, number in ((5, 0.3), (1001, 7.0)):
            scale, offset = torch.tensor([number]), torch.tensor([first, 2 * first])
            actual = fused(q, k, *weights, Consecutive(offset), numbers, scale=(scale, 2.0))
            told = (q.numpy(), k.numpy(), weights[0].numpy(), None, Consecutive(offset.numpy()))
            wanted = specified(*told, numbers, scale=(float(scale), 2.0))
            for got, want in zip(actual, wanted, strict=True):
                assert worst(got.numpy(), want, "half", 12) <= STORED["float32"]
    assert taken.call_count == 1


def test_what_is_refused_of_storage_is_said_as_for_a_rotation() -> None:
    q, k = torch.ones(1, 3, 2, 12), torch.ones(1, 3, 1, 12)
    given = (torch.arange(3), spectrum(12))
    for options in (
        *({"dtype": "int8"}, {"scale": 0.0}, {"scale": (1.0, -2)}, {"scale": (1, 2, 3)}),
        *({"scale": "1"}, {"scale": torch.ones(2)}, {"scale": torch.ones(1).double()}),
    ):
        said = []
        rotated: Any = ropelab_cuda.apply_rotary_qk
        for function, weights in ((rotated, ()), (fused, (None, None))):
            with on_cpu(), pytest.raises((TypeError, ValueError)) as caught:
                function(q, k, *weights, *given, **options)
            said.append((caught.type, str(caught.value)))
        assert said[0] == said[1]


def test_an_output_over_a_scale_is_refused() -> None:
    q, k = np.ones((1, 3, 1, 16), np.float32), np.ones((1, 3, 1, 16), np.float32)
    outs = np.zeros_like(q), np.zeros_like(k)
    scale = outs[1].reshape(-1)[5:6]
    with on_cpu(), refuses(ValueError, "out[1]", "scale"):
        fused(q, k, None, None, np.arange(3), spectrum(16), scale=(2.0, scale), out=outs)
    assert not any(out.any() for out in outs)
