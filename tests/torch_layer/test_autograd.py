"""Gradients: first and second, through checkpoints and torch.func; and what has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import ropelab
from ropelab.scaling import DynamicNTK
from ropelab_cuda.torch import apply_rotary, apply_rotary_, apply_rotary_cached, spectrum_for
from tests.torch_layer.support import FORMATS, NOISE, pair_error, qk, turned

pytestmark = NOISE

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
BASE = 500.0
SPECTRUM = ropelab.Rope(8, base=BASE, rotary_dim=6).spectrum()
INV_FREQ = [BASE ** (-i / 3) for i in range(3)]
IDS = torch.tensor([[3, 70_001, 131_071], [-4, 77_777, 5]])
PLACE: dict[str, Any] = {"layout": "interleaved", "output_layout": "half", "rotary_offset": 1}
Rotate = Callable[..., tuple[torch.Tensor, ...]]


def small(tensor_format: str = "bshd", **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    defaults: dict[str, Any] = {"dtype": torch.float64, "requires_grad": True}
    return qk(tensor_format, tokens=3, head_dim=8, **(defaults | options))


def rotate(q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return apply_rotary(q, k, IDS.to(q.device), SPECTRUM, **PLACE)


def weighted(*tensors: torch.Tensor) -> torch.Tensor:
    """Return a number that depends on every element in its own way, and not linearly."""
    total = torch.zeros((), dtype=torch.float64, device=tensors[0].device)
    for x in tensors:
        weights = torch.arange(1, x.numel() + 1, device=x.device).reshape(x.shape)
        total = total + (x * weights).sin().sum()
    return total


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tensor_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_gradient_is_the_rotation_back(
    dtype: torch.dtype, tensor_format: str, device: str
) -> None:
    q, k = small(tensor_format, dtype=dtype, device=device)
    ids, options = IDS.to(device), {"tensor_format": tensor_format, **PLACE}
    made = apply_rotary(q, k, ids, SPECTRUM, **options)
    given = qk(tensor_format, tokens=3, head_dim=8, seed=1, dtype=dtype, device=device)
    torch.autograd.backward(made, given)
    for x, grad in zip((q, k), given, strict=True):
        assert x.grad is not None
        expected = turned(grad, ids, INV_FREQ, inverse=True, **options)
        assert pair_error(x.grad, expected) <= 1.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("inverse", [False, True])
def test_derivatives_are_those_of_differences(inverse: bool, device: str) -> None:
    ids = IDS.to(device)

    def turn(q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return apply_rotary(q, k, ids, SPECTRUM, inverse=inverse, **PLACE)

    assert torch.autograd.gradcheck(turn, small(device=device))
    assert torch.autograd.gradgradcheck(turn, small(device=device), fast_mode=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("tensor_format", FORMATS)
def test_tables_have_gradients_too(tensor_format: str, inverse: bool, device: str) -> None:
    generator = torch.Generator().manual_seed(2)
    # cos is shared by both sequences, sin by all tokens of one.
    cos, sin = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(device).requires_grad_()
        for shape in ((3, 3), (2, 1, 3))
    )
    inputs = (*small(tensor_format, device=device), cos, sin)
    options = {"tensor_format": tensor_format, "inverse": inverse, **PLACE}

    def turn(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return apply_rotary_cached(*inputs, **options)

    assert torch.autograd.gradcheck(turn, inputs)
    assert torch.autograd.gradgradcheck(turn, inputs, fast_mode=True)


def test_gradients_of_tables_are_computed_in_float32_at_least() -> None:
    # The square of 1 + 2**-7 has more bits than bfloat16; 8192 of them are a float32 exactly.
    number = 1.0 + 2.0**-7
    q = torch.full((1, 1, 4096, 2), number, dtype=torch.bfloat16)
    cos = torch.zeros(1, 1, requires_grad=True)
    made = apply_rotary_cached(q, q[:, :, :1], cos, cos.detach())[0]
    torch.autograd.backward(made, torch.full_like(made, number))
    assert cos.grad is not None
    assert cos.grad.item() == 8192 * number**2


@pytest.mark.parametrize("device", DEVICES)
def test_the_gradient_of_a_sum_may_come_without_memory_of_its_own(device: str) -> None:
    q, k = small(device=device, dtype=torch.float32)
    sum(y.sum() for y in rotate(q, k)).backward()  # type: ignore[union-attr]
    assert k.grad is not None
    ones = torch.ones_like(k)
    expected = turned(ones, IDS.to(device), INV_FREQ, inverse=True, **PLACE)
    assert pair_error(k.grad, expected) <= 1.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("frozen", [0, 1], ids=["q", "k"])
def test_what_is_frozen_stays_so_beside_what_is_not(frozen: int, device: str) -> None:
    given = list(small(device=device, requires_grad=False))
    trained = given[1 - frozen].requires_grad_()
    made = rotate(*given)
    assert [y.requires_grad for y in made] == [x.requires_grad for x in given]
    assert made[frozen].grad_fn is None
    (grad,) = torch.autograd.grad(weighted(*made), trained)
    both = [x.detach().requires_grad_() for x in given]
    assert torch.equal(grad, torch.autograd.grad(weighted(*rotate(*both)), both)[1 - frozen])


def test_what_one_transform_freezes_another_may_differentiate() -> None:
    q, k = small()

    def loss(q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = rotate(q, k)
        return weighted(made[0]), made[1]

    differentiate: Callable[..., Any] = torch.func.grad(loss, has_aux=True)
    grad, turned_k = differentiate(q.detach())
    assert not grad.requires_grad
    (k_grad,) = torch.autograd.grad(weighted(turned_k), k)
    assert torch.equal(k_grad, torch.autograd.grad(weighted(rotate(q, k)[1]), k)[0])


@pytest.mark.parametrize("options", [PLACE, {"inverse": True}], ids=["placed", "inverse"])
def test_compiled_autograd_goes_the_same_way_back(options: dict[str, Any]) -> None:
    q, k = small(dtype=torch.float32)
    frozen = small(dtype=torch.float32, seed=2, requires_grad=False)
    cos, sin = torch.eye(3, requires_grad=True), torch.zeros(3, 3)
    made = *apply_rotary(q, k, IDS, SPECTRUM, **options), *apply_rotary_cached(*frozen, cos, sin)
    given = (*small(dtype=torch.float32, seed=1, requires_grad=False), *frozen)
    backend: Any = torch.compile(backend="eager")
    with torch._dynamo.compiled_autograd._enable(backend):
        torch.autograd.backward(made, given)
    back = {**options, "inverse": not options.get("inverse", False)}
    for x, grad in zip((q, k), given, strict=False):
        assert x.grad is not None
        assert pair_error(x.grad, turned(grad, IDS, INV_FREQ, **back)) <= 1.5
    squares = sum((x[..., :3] ** 2 + x[..., 3:6] ** 2).sum((0, 2)) for x in frozen)
    assert cos.grad is not None
    torch.testing.assert_close(cos.grad, squares, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_computes_the_same_gradients(use_reentrant: bool) -> None:
    q, k = small()
    expected = torch.autograd.grad(weighted(*rotate(q, k)), (q, k))
    again = checkpoint(rotate, q, k, use_reentrant=use_reentrant)
    weighted(*again).backward()  # type: ignore[no-untyped-call]
    assert torch.equal(q.grad, expected[0])  # type: ignore[arg-type]
    assert torch.equal(k.grad, expected[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("device", DEVICES)
def test_transforms_agree_with_autograd(device: str) -> None:
    q, k = small(device=device)

    def loss(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return weighted(*rotate(q, k))

    expected = torch.autograd.grad(loss(q, k), (q, k))
    plain = q.detach(), k.detach()
    for made, wanted in zip(torch.func.grad(loss, (0, 1))(*plain), expected, strict=True):
        assert torch.equal(made, wanted)
    value, pull, *_ = torch.func.vjp(loss, *plain)
    assert torch.equal(pull(torch.ones_like(value))[1], expected[1])
    # The Jacobian of a rotation is orthogonal; of the channels that pass, the identity.
    jacobian = torch.func.jacrev(lambda q: rotate(q, plain[1])[0])(plain[0]).reshape(192, 192)
    unit = torch.eye(192, dtype=torch.float64, device=device)
    torch.testing.assert_close(jacobian @ jacobian.T, unit, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("device", DEVICES)
def test_transforms_nest(device: str) -> None:
    q, k = (x[:1, :2, :1].detach() for x in small(device=device))
    ids = IDS[:1, :2].to(device)

    def loss(q: torch.Tensor) -> torch.Tensor:
        return weighted(*apply_rotary(q, k, ids, SPECTRUM, **PLACE))

    hessian = torch.func.jacrev(torch.func.jacrev(loss))(q)
    expected = torch.autograd.functional.hessian(loss, q)  # type: ignore[no-untyped-call]
    assert expected.abs().max() > 1.0
    torch.testing.assert_close(hessian, expected, rtol=1e-12, atol=1e-12)
    # A gradient of torch.func inside one of autograd.
    outer = q.clone().requires_grad_()
    torch.func.grad(loss)(outer).square().sum().backward()
    assert outer.grad is not None
    flat = expected.reshape(16, 16) @ (2.0 * torch.func.grad(loss)(q).reshape(16))
    torch.testing.assert_close(outer.grad.reshape(16), flat, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batched_ids", [False, True], ids=["shared ids", "ids each"])
@pytest.mark.parametrize("tensor_format", FORMATS)
def test_vmap_is_a_loop(tensor_format: str, batched_ids: bool, device: str) -> None:
    pairs = [
        small(tensor_format, seed=seed, device=device, requires_grad=False) for seed in (3, 4, 5)
    ]
    q, k = torch.stack([q for q, _ in pairs], 1), pairs[0][1]  # keys are shared
    ids = torch.stack([IDS[0], IDS[1], IDS[0] + 7], 1).to(device) if batched_ids else IDS.to(device)

    def turn(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_rotary(q, k, ids, SPECTRUM, tensor_format=tensor_format, **PLACE)

    def slope(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        def loss(q: torch.Tensor) -> torch.Tensor:
            return weighted(*turn(q, k, ids))

        made: torch.Tensor = torch.func.grad(loss)(q)
        return made

    dims = (1, None, 1 if batched_ids else None)
    made, slopes = torch.vmap(turn, dims)(q, k, ids), torch.vmap(slope, dims)(q, k, ids)
    for i, (x, _) in enumerate(pairs):
        own = ids[:, i] if batched_ids else ids
        for y, expected in zip(made, turn(x, k, own), strict=True):
            assert torch.equal(y[i], expected)
        assert torch.equal(slopes[i], slope(x, k, own))


@pytest.mark.parametrize("sequences", [2, 1])
def test_vmap_of_several_position_axes_is_a_loop(sequences: int) -> None:
    spectrum = ropelab.Rope(8, base=BASE, axes=[1, 0, 2, 1]).spectrum()
    q, k = (x[:sequences] for x in small(requires_grad=False))
    ids = torch.stack([IDS[:sequences] * step for step in (1, 3, 5)])
    each = torch.stack([ids, ids + 7, ids - 4, ids * 2], 1)

    def turn(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_rotary(q, k, ids, spectrum)

    made = torch.vmap(turn, 1)(each)
    for i in range(4):
        for y, expected in zip(made, turn(each[:, i]), strict=True):
            assert torch.equal(y[i], expected)


def test_vmap_finds_a_length_for_each() -> None:
    rope = ropelab.Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=16)
    q, k = small(requires_grad=False)
    ids = torch.stack([IDS, IDS + 99, IDS // 1000])

    def turn(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_rotary(q, k, ids, spectrum_for(rope, ids))

    made = torch.vmap(turn)(ids)
    for i in range(3):
        for y, expected in zip(made, turn(ids[i]), strict=True):
            assert torch.equal(y[i], expected)


@pytest.mark.parametrize("tables", ["neither", "cos", "both"])
@pytest.mark.parametrize("tensor_format", FORMATS)
def test_vmap_of_given_tables_is_a_loop(tensor_format: str, tables: str) -> None:
    q, k = small(tensor_format, requires_grad=False)
    generator = torch.Generator().manual_seed(2)
    cos, sin = (torch.randn(3, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    dims = {"neither": (None, None), "cos": (2, None), "both": (2, 0)}[tables]
    cos = cos[..., 0] if dims[0] is None else cos
    sin = sin[..., 1] if dims[1] is None else sin.movedim(2, 0)
    qs = torch.stack([q, q + 1.0, q - 1.0, q * 2.0], 3)

    def turn(q: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_rotary_cached(q, k, cos, sin, tensor_format=tensor_format)

    made = torch.vmap(turn, (3, *dims))(qs, cos, sin)
    for i in range(4):
        own = (cos if dims[0] is None else cos[..., i], sin if dims[1] is None else sin[i])
        for y, expected in zip(made, turn(qs[..., i, :], *own), strict=True):
            assert torch.equal(y[i], expected)


@pytest.mark.parametrize("batched", ["q", "k", "ids", "all", "length", "tables"])
@pytest.mark.parametrize("tensor_format", FORMATS)
def test_vmap_over_nothing_gives_nothing(tensor_format: str, batched: str) -> None:
    rope = ropelab.Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=16)
    given = dict(zip("qk", small(tensor_format, requires_grad=False), strict=True)) | {"ids": IDS}
    names = {"all": list(given), "length": ["ids"], "tables": ["q"]}.get(batched, [batched])
    none = [x.expand(0, *x.shape) if name in names else x for name, x in given.items()]
    dims = [0 if name in names else None for name in given]

    def turn(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if batched == "tables":
            table = torch.ones(ids.shape[-1], 4, dtype=q.dtype)
            return apply_rotary_cached(q, k, table, table, tensor_format=tensor_format)
        spectrum = spectrum_for(rope, ids) if batched == "length" else SPECTRUM
        return apply_rotary(q, k, ids, spectrum, tensor_format=tensor_format)

    each: Callable[..., Any] = torch.vmap(turn, tuple(dims))
    made = each(*none)
    assert [tuple(y.shape) for y in made] == [(0, *given[name].shape) for name in "qk"]
    assert {y.dtype for y in made} == {torch.float64}
    with pytest.raises(ValueError, match=r"(position_ids|cos): expected"):
        each(*none[:2], none[2][..., :2])


@pytest.mark.parametrize("size", [0, 3])
def test_vmap_refuses_as_a_loop_does(size: int) -> None:
    q, k = small(requires_grad=False)
    ids, table = IDS[:, :2].expand(size, 2, 2), torch.ones(size, 2, 4, dtype=q.dtype)
    with pytest.raises(ValueError, match=r"position_ids: expected a shape that broadcasts"):
        torch.vmap(lambda ids: apply_rotary(q, k, ids, SPECTRUM))(ids)
    with pytest.raises(ValueError, match=r"cos: expected shape \(\.\.\., d/2\)"):
        torch.vmap(lambda table: apply_rotary_cached(q, k, table, table))(table)
    wide = torch.ones(size, 3, 5, dtype=q.dtype)
    with pytest.raises(ValueError, match="sin: expected"):
        torch.vmap(lambda sin: apply_rotary_cached(q, k, wide[..., :3].new_ones(3, 4), sin))(wide)


def curved(turn: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def loss(q: torch.Tensor) -> torch.Tensor:
        return turn(q).sin().sum()

    return loss


def jvp(turn: Callable[..., Any], q: torch.Tensor) -> Any:
    return torch.func.jvp(turn, (q,), (q,))


FORWARD: dict[str, Callable[..., Any]] = {
    "jvp": jvp,
    "jacfwd": lambda turn, q: torch.func.jacfwd(turn)(q),
    "hessian": lambda turn, q: torch.func.hessian(curved(turn))(q),
    "jvp of grad": lambda turn, q: jvp(torch.func.grad(curved(turn)), q),
    "vmap of jvp": lambda turn, q: torch.vmap(partial(jvp, turn))(q[None]),
}


@pytest.mark.parametrize("derivative", FORWARD.values(), ids=FORWARD)
def test_forward_mode_is_refused(derivative: Callable[..., Any]) -> None:
    q, k = small(requires_grad=False)
    with pytest.raises(NotImplementedError, match="forward-mode AD is not implemented"):
        derivative(lambda q: rotate(q, k)[0], q)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("function", ["apply_rotary", "apply_rotary_", "apply_rotary_cached"])
def test_a_tangent_is_refused_and_never_lost(function: str, requires_grad: bool) -> None:
    q, k = small(requires_grad=requires_grad)
    cos = torch.ones(3, 3, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(k, torch.ones_like(k))  # type: ignore[no-untyped-call]
        before = k.detach().clone()
        calls: dict[str, Callable[[], Any]] = {
            "apply_rotary": lambda: rotate(q, dual),
            "apply_rotary_": torch.no_grad()(lambda: apply_rotary_(q, dual, IDS, SPECTRUM)),
            "apply_rotary_cached": lambda: apply_rotary_cached(q, dual, cos, cos),
        }
        with pytest.raises(NotImplementedError, match="forward-mode AD is not implemented"):
            calls[function]()
        assert torch.equal(k.detach(), before)


def test_a_saved_tensor_that_is_rotated_in_place_is_noticed() -> None:
    q, k = small(requires_grad=False)
    weight = torch.ones_like(q, requires_grad=True)
    loss = (q * weight).sum()
    apply_rotary_(q, k, IDS, SPECTRUM)
    assert (q._version, k._version) == (1, 1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]
