"""Autocast casts nothing down; tensors of inference mode are as good as others."""

from __future__ import annotations

import pytest
import torch

from ropelab_cuda.torch import apply_rotary, apply_rotary_, apply_rotary_cached
from tests.torch_layer.one_rotation import IDS, PATHS, SPECTRUM, check_rotated, given
from tests.torch_layer.support import NOISE

pytestmark = NOISE


@PATHS
def test_autocast_casts_nothing_down(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    with torch.autocast("cpu", torch.bfloat16):
        made = apply_rotary(q, k, IDS, SPECTRUM)
        tables = (torch.ones(5, 6), torch.zeros(5, 6))
        unturned = apply_rotary_cached(q, k.bfloat16(), *tables)
    assert made[0].dtype == torch.float32
    check_rotated(made, (q, k))
    assert [x.dtype for x in unturned] == [torch.float32, torch.bfloat16]
    assert torch.equal(unturned[0], q)


def test_autocast_overwrites_nothing_of_another_dtype() -> None:
    q, k = (x.clone() for x in given())
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(TypeError, match=r"k: expected the dtype of q, torch.float32; got"):
            apply_rotary_(q, k.bfloat16(), IDS, SPECTRUM)
        assert torch.equal(q, given()[0])
        apply_rotary_(q, k, IDS, SPECTRUM)
    check_rotated((q, k), given())


def test_autocast_takes_the_wider_dtype() -> None:
    q, k = given(requires_grad=True)
    half = k.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        made = apply_rotary(q, half, IDS, SPECTRUM)
    assert [y.dtype for y in made] == [torch.float32, torch.float32]
    check_rotated(made, (q, half))
    made[1].sum().backward()  # type: ignore[no-untyped-call]
    assert k.grad is not None
    assert k.grad.count_nonzero() > 0


def test_inference_mode() -> None:
    q, k = given()
    with torch.inference_mode():
        made = apply_rotary(q, k, IDS, SPECTRUM)
        assert made[0].is_inference()
        again = made[0].clone(), made[1].clone()
        apply_rotary_(*again, IDS, SPECTRUM, inverse=True)
    check_rotated(made, (q, k))
    for x, y in zip((q, k), again, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-5, atol=1e-5)
