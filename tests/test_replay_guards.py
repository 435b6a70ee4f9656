"""The plan of the last call with these options, which torch's guard tells from all others."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch

import ropelab_cuda
from ropelab_cuda.torch_tensors import QuickTorch
from tests.ropelab_cuda.test_replay import (
    IDS,
    SPECTRUM,
    WholeWayError,
    close,
    device,
    different,
    expected,
    only_replays,
    rotate_any,
    tensors,
)

__all__ = ["device"]  # a fixture that each test uses

pytestmark = pytest.mark.shim


def only_guarded() -> Any:
    return mock.patch("ropelab_cuda.replay.signature", side_effect=WholeWayError)


def rotated_twice(**options: Any) -> None:
    """Rotate until a guard is known: by a call that is planned, and one that is replayed."""
    for _ in range(2):
        rotate_any(IDS, SPECTRUM, **options)


def test_a_call_like_the_last_one_is_found_by_its_guard() -> None:
    rotated_twice()
    q, k = tensors(3, 2)
    wanted = expected(q), expected(k)
    with only_guarded():
        answers = ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
    assert all(map(close, answers, wanted))


def test_without_guards_all_is_the_same() -> None:
    with mock.patch.object(QuickTorch, "guard", return_value=None):
        for _ in range(3):
            q, k = tensors(3, 2)
            wanted = expected(q), expected(k)
            answers = ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
            assert all(map(close, answers, wanted))
        with pytest.raises(WholeWayError), only_guarded():
            ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)


@pytest.mark.parametrize("reason", different())
def test_what_differs_is_not_taken_for_the_last_one(reason: str) -> None:
    rotated_twice()
    arguments, options = different()[reason]
    with only_replays(), pytest.raises((WholeWayError, TypeError, ValueError)):
        ropelab_cuda.apply_rotary_qk_(*arguments, **options)


def test_a_guard_loses_no_gradient_and_no_negation() -> None:
    rotated_twice()
    q, k = tensors(3, 2)
    with pytest.raises(ValueError, match="k: requires grad"):
        ropelab_cuda.apply_rotary_qk_(q, k.requires_grad_(), IDS, SPECTRUM)
    with torch.no_grad():  # and now a guard knows keys that require it
        for _ in range(3):
            ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
        with only_guarded():
            ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
    with pytest.raises(ValueError, match="k: requires grad"):
        ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)
    with pytest.raises(ValueError, match="pending negation"):
        ropelab_cuda.apply_rotary_qk_(torch._neg_view(q), k.detach(), IDS, SPECTRUM)


def test_memory_that_is_gone_is_not_written() -> None:
    rotated_twice()
    q, k = tensors(3, 2)
    q.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="q: this Tensor has no memory"):
        ropelab_cuda.apply_rotary_qk_(q, k, IDS, SPECTRUM)


@pytest.mark.filterwarnings("ignore")  # torch's own, as for tangents below
def test_a_nested_tensor_is_refused_and_not_guarded() -> None:
    rotated_twice()
    nested = torch.nested.nested_tensor([torch.randn(5, 3, 24), torch.randn(4, 3, 24)])
    with pytest.raises((TypeError, ValueError)):
        ropelab_cuda.apply_rotary_qk_(nested, tensors(2)[0], IDS, SPECTRUM)


@pytest.mark.filterwarnings("ignore")
def test_a_tangent_is_not_lost() -> None:
    rotated_twice()
    forward_ad: Any = torch.autograd.forward_ad
    q, k = tensors(3, 2)
    with forward_ad.dual_level():
        carrying = forward_ad.make_dual(q, torch.ones_like(q))
        with pytest.raises(NotImplementedError, match="q: carries a tangent"):
            ropelab_cuda.apply_rotary_qk_(carrying, k, IDS, SPECTRUM)
        wanted = expected(k)
        assert close(ropelab_cuda.apply_rotary(k, IDS, SPECTRUM), wanted)


def test_a_call_that_is_not_aligned_is_not_taken_for_the_last_one() -> None:
    rotated_twice()
    for _ in range(3):
        odd = torch.randn(2 * 5 * 3 * 24 + 1)[1:].view(2, 5, 3, 24)
        ropelab_cuda.apply_rotary_qk_(odd, tensors(2)[0], IDS, SPECTRUM)
    with only_guarded():
        rotate_any(IDS, SPECTRUM)


def test_shapes_that_alternate_need_no_more_guards() -> None:
    with mock.patch.object(
        QuickTorch, "guard", autospec=True, side_effect=QuickTorch.guard
    ) as made:
        for tokens in (1, 5) * 6:
            x = torch.randn(1, tokens, 2, 16)
            wanted = expected(x, torch.arange(tokens))
            ropelab_cuda.apply_rotary_(x, torch.arange(tokens), SPECTRUM)
            assert close(x, wanted)
    assert made.call_count == 2


def test_in_inference_mode_another_guard_fits() -> None:
    rotated_twice()
    with torch.inference_mode():
        rotated_twice()
        with only_guarded():
            rotate_any(IDS, SPECTRUM)
