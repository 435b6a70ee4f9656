"""Replayed calls do what the whole way does, and never what it would refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab_cuda import recordings
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(0, 16, 2) / 16))
IDS = torch.tensor([[3, 131_071, 7, 2**30, 0]])


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU tensors pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


def tensors(*heads: int, dtype: torch.dtype = torch.float32, dim: int = 24) -> tuple[Any, ...]:
    return tuple(torch.randn(2, 5, n, dim).to(dtype) for n in heads)


def rotate_any(*given: Any, **options: Any) -> None:
    """Rotate some queries and keys, so that a plan is known."""
    q, k = tensors(3, 2)
    ropelab_cuda.apply_rotary_qk_(q, k, *given, **options)


def known_plans() -> int:
    return len(recordings.thread.mine.plans) if recordings.thread.mine else 0


class WholeWayError(Exception):
    """A call went the whole way."""


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.exchange.Gate.__init__", side_effect=WholeWayError)


def expected(x: torch.Tensor, ids: torch.Tensor = IDS, **options: Any) -> torch.Tensor:
    return torch.from_numpy(ropelab.apply_rotary(x.numpy(), ids.numpy(), SPECTRUM, **options))


def close(actual: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool(torch.allclose(actual, wanted, rtol=0, atol=2e-6))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_other_tensors_of_the_same_kind_are_rotated_in_place(layout: str) -> None:
    options: dict[str, Any] = {"layout": layout, "inverse": True}
    rotate_any(IDS, SPECTRUM, **options)
    q, k = tensors(3, 2)
    ids = IDS + 12_345
    wanted = [expected(x, ids, **options) for x in (q, k)]
    versions = q._version, k._version, ids._version
    with only_replays():
        answers = ropelab_cuda.apply_rotary_qk_(q, k, ids, SPECTRUM, **options)
    assert answers[0] is q
    assert answers[1] is k
    assert close(q, wanted[0])
    assert close(k, wanted[1])
    assert (q._version, k._version, ids._version) == (versions[0] + 1, versions[1] + 1, versions[2])


def test_outputs_are_made_as_the_whole_way_makes_them() -> None:
    x = tensors(3)[0].transpose(1, 2)
    options: dict[str, Any] = {"tensor_format": "bhsd"}
    first = ropelab_cuda.apply_rotary(x, IDS, SPECTRUM, **options)
    x = tensors(3)[0].transpose(1, 2)
    with only_replays():
        second = ropelab_cuda.apply_rotary(x, IDS, SPECTRUM, **options)
    assert second.stride() == first.stride() == x.stride()
    assert close(second, expected(x, **options))
    assert not close(first, second)


def test_given_outputs_and_tables_are_replayed() -> None:
    q, k = tensors(3, 1)
    cos, sin = (torch.from_numpy(t) for t in ropelab.cos_sin(IDS.numpy(), SPECTRUM))
    for _ in range(2):
        outs = (torch.zeros_like(q), torch.zeros_like(k))
        both = ropelab_cuda.apply_rotary_qk(q, k, IDS, SPECTRUM, out=outs)
        one = ropelab_cuda.apply_rotary(q, IDS, SPECTRUM, out=torch.zeros_like(q))
        given = ropelab_cuda.apply_rotary_cached(q, cos, sin, out=torch.zeros_like(q))
        new = ropelab_cuda.apply_rotary_cached(q, cos, sin)
        place = q.clone()
        ropelab_cuda.apply_rotary_cached_(place, cos, sin)
        assert both[0] is outs[0]
        for actual in (both[0], one, given, new, place):
            assert close(actual, expected(q))
        assert close(both[1], expected(k))
        calls = only_replays()
        calls.start()
    mock.patch.stopall()


def different() -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    q, k = tensors(3, 2)
    wide = torch.randn(2, 5, 3, 40)[..., :24]
    odd = torch.randn(2 * 5 * 3 * 24 + 1)[1:].view(2, 5, 3, 24)
    other = ropelab.Spectrum(SPECTRUM.inv_freq)
    return {
        "shape": ((q[:1], k[:1], IDS, SPECTRUM), {}),
        "strides": ((wide, k, IDS, SPECTRUM), {}),
        "alignment": ((odd, k, IDS, SPECTRUM), {}),
        "dtype": ((q.half(), k.half(), IDS, SPECTRUM), {}),
        "positions' dtype": ((q, k, IDS.int(), SPECTRUM), {}),
        "positions' shape": ((q, k, IDS[0], SPECTRUM), {}),
        "spectrum": ((q, k, IDS, other), {}),
        "layout": ((q, k, IDS, SPECTRUM), {"layout": "interleaved"}),
        "type of a flag": ((q, k, IDS, SPECTRUM), {"inverse": 0}),
        "type of a number": ((q, k, IDS, SPECTRUM), {"rotary_offset": 0.0}),
        "an unhashable option": ((q, k, IDS, SPECTRUM), {"layout": ["half"]}),
        "an array": ((q.numpy(), k.numpy(), IDS.numpy(), SPECTRUM), {}),
    }


@pytest.mark.parametrize("reason", different())
def test_what_differs_goes_the_whole_way(reason: str) -> None:
    rotate_any(IDS, SPECTRUM)
    arguments, options = different()[reason]
    with only_replays(), pytest.raises((WholeWayError, TypeError, ValueError)):
        ropelab_cuda.apply_rotary_qk_(*arguments, **options)


def test_a_tensor_among_the_options_is_no_key() -> None:
    """It stays the same object when its value does not."""
    x, offset = tensors(3)[0], torch.tensor(2)
    cos, sin = (torch.from_numpy(t) for t in ropelab.cos_sin(IDS.numpy(), SPECTRUM))
    options: dict[str, Any] = {"rotary_offset": offset}
    for start in (2, 6):
        offset.fill_(start)
        wanted = expected(x, rotary_offset=start)
        assert close(ropelab_cuda.apply_rotary(x, IDS, SPECTRUM, **options), wanted)
        assert close(ropelab_cuda.apply_rotary_cached(x, cos, sin, **options), wanted)


def test_a_gradient_is_not_lost_by_a_replay() -> None:
    rotate_any(IDS, SPECTRUM)
    q, k = tensors(3, 2)
    k.requires_grad_()
    with pytest.raises(ValueError, match="k: requires grad"):
        ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
    with torch.no_grad(), only_replays():
        ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)


def test_a_pending_negation_is_refused_as_ever() -> None:
    def imaginary(z: torch.Tensor) -> torch.Tensor:
        return torch.as_strided(z.imag, (2, 5, 3, 24), (360, 72, 24, 1))

    plain, hidden = (torch.randn(2 * 5 * 3 * 24, dtype=torch.cfloat) for _ in range(2))
    ropelab_cuda.apply_rotary_(imaginary(plain), IDS, SPECTRUM)
    with pytest.raises(ValueError, match="pending negation"):
        ropelab_cuda.apply_rotary_(imaginary(hidden.conj()), IDS, SPECTRUM)


def test_tensors_that_come_to_share_memory_are_refused() -> None:
    memory = torch.randn(2, 5, 8, 24)
    q, k = memory[:, :, :4], memory[:, :, 4:]
    ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
    before = memory.clone()
    with pytest.raises(ValueError, match="share"):
        ropelab_cuda.apply_rotary_qk_(q, memory[:, :, 2:6], IDS, SPECTRUM)
    assert torch.equal(memory, before)
    with only_replays():  # they interleave as they did at first
        again = torch.randn(2, 5, 8, 24)
        ropelab_cuda.apply_rotary_qk_(again[:, :, :4], again[:, :, 4:], IDS, SPECTRUM)


def test_positions_inside_of_what_is_written_are_refused() -> None:
    memory = torch.zeros(2 * 5 * 3 * 24 + 64)
    x, beside = memory[: 2 * 5 * 3 * 24].view(2, 5, 3, 24), memory[-64:]
    ropelab_cuda.apply_rotary_(x, beside.view(torch.int64)[:5], SPECTRUM)
    with pytest.raises(ValueError, match="position_ids"):
        ropelab_cuda.apply_rotary_(x, memory.view(torch.int64)[2:7], SPECTRUM)


def test_an_output_that_is_the_input_has_its_own_plan() -> None:
    """In place the tail is not copied, so neither plan may serve the other's tensors."""
    x, out = tensors(3, 3)
    for target in (x.clone(), out, x.clone(), out):
        source = target if target is not out else x
        wanted = expected(source)
        target[..., 16:] = source[..., 16:]
        out[...] = torch.nan if target is out else out
        result = ropelab_cuda.apply_rotary(source, IDS, SPECTRUM, out=target)
        assert close(result, wanted)


def test_inference_tensors_have_no_version_to_bump() -> None:
    with torch.inference_mode():
        for _ in range(2):
            q, k = tensors(3, 2)
            wanted = expected(q)
            ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
            assert close(q, wanted)


def test_a_transform_of_torch_func_goes_the_whole_way() -> None:
    x = tensors(3)[0]
    ropelab_cuda.apply_rotary(x, IDS, SPECTRUM)

    def rotated(y: torch.Tensor) -> Any:
        return ropelab_cuda.apply_rotary(y, IDS, SPECTRUM)

    with pytest.raises(TypeError, match=r"torch\.func"):
        torch.func.vmap(rotated)(x[None])
    with pytest.raises(TypeError, match=r"torch\.func"):
        torch.func.functionalize(rotated)(x)


def test_every_thread_has_plans_of_its_own() -> None:
    rotate_any(IDS, SPECTRUM)
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(known_plans()))
    thread.start()
    thread.join()
    assert seen == [0]
    assert known_plans() == 1


def test_plans_do_not_pile_up() -> None:
    with mock.patch("ropelab_cuda.remember.MOST_PLANS", 3):
        for tokens in range(1, 6):
            x = torch.randn(1, tokens, 1, 16)
            ropelab_cuda.apply_rotary_(x, torch.arange(tokens), SPECTRUM)
    assert known_plans() == 2


# ------------------------------------------------------------------------------------------------
# Norm and rotation.

normed: Any = ropelab.apply_norm_rotary_qk  # its arguments come in tuples of many kinds
fused: Any = ropelab_cuda.apply_norm_rotary_qk
fused_: Any = ropelab_cuda.apply_norm_rotary_qk_


def arrays(*given: torch.Tensor | None) -> list[Any]:
    return [None if x is None else x.numpy().copy() for x in given]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("way", ["new", "out", "in place"])
def test_a_norm_is_replayed_with_other_weights(way: str, across: bool) -> None:
    options: dict[str, Any] = {"across_heads": across, "rotary_offset": 1, "weight_offset": 1.0}
    for number in range(3):
        q, k = tensors(4, 2)
        weights = [torch.randn(*((h, 24) if across else (24,))) for h in (4, 2)]
        given = (*weights, IDS + number)
        wanted = normed(*arrays(q, k, *given), SPECTRUM, **options)
        with only_replays() if number else nullcontext():
            if way == "in place":
                got = fused_(q, k, *given, SPECTRUM, **options)
            else:
                outs = [torch.empty_like(x) for x in (q, k)] if way == "out" else None
                got = fused(q, k, *given, SPECTRUM, out=outs, **options)
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-5)


def test_a_norm_with_another_weight_or_number_has_a_plan_of_its_own() -> None:
    (q, k), weight = tensors(4, 2), torch.randn(24)
    different: tuple[tuple[Any, Any, dict[str, Any]], ...] = (
        (weight, weight, {}),
        (weight, None, {}),
        (None, weight, {}),
        (weight, weight, {"eps": 1.0}),
        (weight, weight, {"weight_offset": 1.0}),
        (weight.double(), weight.double(), {}),
    )
    for known, (*weights, options) in enumerate(different):
        assert known_plans() == known
        wanted = normed(*arrays(q, k, *weights, IDS), SPECTRUM, **options)
        for _ in range(2):
            got = fused(q, k, *weights, IDS, SPECTRUM, **options)
            for one, other in zip(got, wanted, strict=True):
                np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-5)


def test_a_weight_that_requires_grad_is_not_lost_by_a_replay() -> None:
    (q, k), weight = tensors(4, 2), torch.nn.Parameter(torch.randn(24))
    with torch.no_grad():
        fused(q, k, weight, weight, IDS, SPECTRUM)
    with pytest.raises(ValueError, match="q_weight: requires grad"):
        fused(q, k, weight, weight, IDS, SPECTRUM)
