"""What only a GPU can show: sizes, strides, streams, graphs, and refusals that write nothing.

Values are compared with the specification, at large positions, on asymmetric shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, widen
from ropelab.scaling import DynamicNTK, Llama3
from tests.gpu.devices import Torch

pytestmark = pytest.mark.gpu

LLAMA31 = ropelab.Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output a pair may err: the bounds of the goldens, whose reasons stand there.
BOUNDS = {"float64": 3.0, "float32": 3.0, "float16": 1.01, "bfloat16": 1.01}


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def pair_error(actual: Array, expected: Array, layout: str, rotary_dim: int) -> float:
    """Return the worst error of a pair over its norm, in eps; the tails must agree bit for bit."""
    tails = (actual[..., rotary_dim:], expected[..., rotary_dim:])
    assert np.ascontiguousarray(tails[0]).tobytes() == np.ascontiguousarray(tails[1]).tobytes()
    channels = pair_channels(layout, rotary_dim)
    got, want = ([widen(side[..., c]) for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    assert np.isfinite(error).all()
    return float(error.max()) / eps(expected.dtype)


def randn(torch: Any, *shape: int, dtype: str) -> Any:
    return torch.randn(*shape, device="cuda", dtype=torch.float32).to(getattr(torch, dtype))


take = Torch().take


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("head_dim", "rotary_dim"),
    [
        (32, 32),
        (80, 32),
        (96, 96),
        (100, 50),
        (128, 126),
        (192, 64),
        (256, 256),
        (512, 512),
        (66, 2),
    ],
)
def test_head_dims_that_are_no_powers_of_two(
    torch: Any, head_dim: int, rotary_dim: int, layout: str, dtype: str
) -> None:
    spectrum = ropelab.Rope(head_dim, base=5e5, rotary_dim=rotary_dim).spectrum()
    q, k = (
        randn(torch, 3, 7, 5, head_dim, dtype=dtype),
        randn(torch, 3, 7, 1, head_dim, dtype=dtype),
    )
    ids = torch.randint(-131072, 131072, (3, 7), device="cuda", dtype=torch.int32)
    outputs = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum, layout=layout)
    for x, out in zip((q, k), outputs, strict=True):
        expected = ropelab.apply_rotary(take(x), take(ids), spectrum, layout=layout)
        drift = 131072 * 2 * np.pi * 2.0**-65 / eps(expected.dtype)  # of 64-bit turns
        assert pair_error(take(out), expected, layout, rotary_dim) <= BOUNDS[dtype] + drift


@pytest.mark.parametrize("layout", LAYOUTS)
def test_more_than_two_to_the_31_elements(torch: Any, layout: str) -> None:
    tokens, heads = 524_288 + 3, 33  # 2.2e9 elements, 4.4 GB, and more than 65,535 of tokens
    x = torch.empty(tokens, heads, 128, device="cuda", dtype=torch.bfloat16)
    assert x.numel() > 2**31
    for part in x.split(65_536):
        part.copy_(torch.randn_like(part))
    ids = torch.arange(tokens, device="cuda") * 3
    chosen = torch.tensor([0, 1, 262_143, 262_144, 508_400, tokens - 2, tokens - 1], device="cuda")
    before = x[chosen].clone()
    options: dict[str, Any] = {"layout": layout, "tensor_format": "thd"}
    ropelab_cuda.apply_rotary_(x, ids, LLAMA31.spectrum(), **options)
    expected = ropelab.apply_rotary(take(before), take(ids[chosen]), LLAMA31.spectrum(), **options)
    assert pair_error(take(x[chosen]), expected, layout, 128) <= 1.01


@pytest.mark.parametrize(
    ("shape", "tensor_format"),
    [((70_001, 1, 2, 16), "bshd"), ((2, 70_001, 1, 16), "bhsd"), ((2, 1, 70_001, 16), "bshd")],
    ids=["batch", "heads of bhsd", "heads of bshd"],
)
def test_more_than_65535_of_anything(
    torch: Any, shape: tuple[int, ...], tensor_format: str
) -> None:
    spectrum = ropelab.Rope(16).spectrum()
    x = randn(torch, *shape, dtype="float32")
    batch, sequence = shape[0], shape["bshd".index("s") if tensor_format == "bshd" else 2]
    ids = torch.arange(batch * sequence, device="cuda").reshape(batch, sequence) * 13
    out = ropelab_cuda.apply_rotary(x, ids, spectrum, tensor_format=tensor_format)
    expected = ropelab.apply_rotary(take(x), take(ids), spectrum, tensor_format=tensor_format)
    assert pair_error(take(out), expected, "half", 16) <= 3.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_of_a_packed_projection_in_place(torch: Any, layout: str) -> None:
    packed = randn(torch, 2, 9, 6 + 2 + 2, 128, dtype="bfloat16")
    before = packed.clone()
    q, k, v = packed.split((6, 2, 2), dim=2)
    ids = torch.arange(9, device="cuda") + 100_000
    ropelab_cuda.apply_rotary_qk_(q, k, ids, LLAMA31.spectrum(), layout=layout)
    q0, k0, v0 = before.split((6, 2, 2), dim=2)
    for x, x0 in ((q, q0), (k, k0)):
        expected = ropelab.apply_rotary(
            take(x0.contiguous()), take(ids), LLAMA31.spectrum(), layout=layout
        )
        assert pair_error(take(x.contiguous()), expected, layout, 128) <= 1.01
    assert torch.equal(v.view(torch.int16), v0.view(torch.int16))


def test_transposed_views_are_the_other_formats(torch: Any) -> None:
    spectrum = LLAMA31.spectrum()
    x = randn(torch, 2, 5, 3, 128, dtype="float32")
    ids = torch.tensor([[3, 70_000, 9, 131_071, 0], [8, 1, 1, 1_048_575, 4]], device="cuda")
    straight = ropelab_cuda.apply_rotary(x, ids, spectrum)
    for name, axes in (("bhsd", (0, 2, 1, 3)), ("sbhd", (1, 0, 2, 3))):
        view = x.permute(axes)
        turned = ropelab_cuda.apply_rotary(view, ids, spectrum, tensor_format=name)
        assert torch.equal(turned, straight.permute(axes)), name


def test_the_inverse_undoes_the_rotation(torch: Any) -> None:
    x = randn(torch, 2, 64, 4, 128, dtype="float32")
    ids = torch.randint(0, 2**31 - 1, (2, 64), device="cuda")
    there = ropelab_cuda.apply_rotary(x, ids, LLAMA31.spectrum())
    back = ropelab_cuda.apply_rotary(there, ids, LLAMA31.spectrum(), inverse=True)
    assert pair_error(take(back), take(x), "half", 128) <= 4.0
    assert not torch.allclose(there, x)


def test_the_work_goes_to_torchs_current_stream(torch: Any) -> None:
    side = torch.cuda.Stream()
    spectrum, ids = LLAMA31.spectrum(), torch.arange(512, device="cuda") + 50_000
    source = randn(torch, 4, 512, 16, 128, dtype="float32")
    expected = ropelab_cuda.apply_rotary(source, ids, spectrum)
    torch.cuda.synchronize()
    for _ in range(20):
        with torch.cuda.stream(side):
            x = torch.full_like(source, float("nan"))
            torch.cuda._sleep(2_000_000)  # the copy below is late; a kernel elsewhere would see NaN
            x.copy_(source)
            out = ropelab_cuda.apply_rotary(x, ids, spectrum)
        side.synchronize()
        assert torch.equal(out, expected)


def test_a_captured_graph_replays_with_new_data_and_positions(torch: Any) -> None:
    spectrum = LLAMA31.spectrum()
    q, k = (
        randn(torch, 1, 4, 8, 128, dtype="bfloat16"),
        randn(torch, 1, 4, 2, 128, dtype="bfloat16"),
    )
    ids = torch.zeros(1, 4, device="cuda", dtype=torch.int64)
    ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum)  # compile before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum)
    for start in (0, 77, 131_000):
        q.copy_(torch.randn_like(q))
        ids.copy_(torch.arange(start, start + 4, device="cuda"))
        for out in outputs:
            out.fill_(float("nan"))
        graph.replay()
        expected = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum)
        for out, want in zip(outputs, expected, strict=True):
            assert torch.equal(out, want)


@pytest.mark.parametrize("shape", [(0, 3, 2, 8), (2, 0, 2, 8), (2, 3, 0, 8)])
def test_zero_sizes_return_at_once(torch: Any, shape: tuple[int, ...]) -> None:
    spectrum = ropelab.Rope(8).spectrum()
    ids = torch.zeros(shape[:2], device="cuda", dtype=torch.int64)
    out = ropelab_cuda.apply_rotary(torch.empty(shape, device="cuda"), ids, spectrum)
    assert tuple(out.shape) == shape


def test_rotate_follows_the_rope_and_its_length(torch: Any) -> None:
    rope = ropelab.Rope(
        64, scaling=DynamicNTK(2.0), layout="interleaved", max_position_embeddings=4096
    )
    q, k = randn(torch, 1, 3, 2, 64, dtype="float64"), randn(torch, 1, 3, 1, 64, dtype="float64")
    ids = torch.tensor([0, 4096, 9000], device="cuda")
    for seq_len in (None, 20_000):
        outputs = ropelab_cuda.rotate(rope, q, k, ids, seq_len=seq_len)
        expected = ropelab.rotate(rope, take(q), take(k), take(ids), seq_len=seq_len)
        for out, want in zip(outputs, expected, strict=True):
            assert pair_error(take(out), want, "interleaved", 64) <= 3.0 + 9000 * 8e-4


class OnlyDLPack:
    """A producer that is neither torch nor CuPy."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_any_producer_is_taken_and_answered_by_cupy(dtype: str) -> None:
    import cupy

    array = cupy.random.standard_normal((2, 3, 4, 16)).astype(dtype)
    ids = cupy.array([[5, 6, 7], [131_071, 2, 1]])
    spectrum = ropelab.Rope(16).spectrum()
    out = ropelab_cuda.apply_rotary(OnlyDLPack(array), OnlyDLPack(ids), spectrum)
    assert type(out) is cupy.ndarray
    expected = ropelab.apply_rotary(cupy.asnumpy(array), cupy.asnumpy(ids), spectrum)
    assert pair_error(cupy.asnumpy(out), expected, "half", 16) <= BOUNDS[dtype]


def refused(torch: Any) -> dict[str, tuple[type[Exception], str, dict[str, Any]]]:
    """Return, for each reason, the error, a word of its message, and the arguments that differ."""
    x = randn(torch, 2, 3, 4, 16, dtype="float32")
    ids = torch.zeros(2, 3, device="cuda", dtype=torch.int64)
    complex_x = torch.randn(2, 3, 4, 16, device="cuda", dtype=torch.complex64)
    return {
        "CPU tensor": (ValueError, "CUDA device", {"x": x.cpu()}),
        "CPU positions": (ValueError, "position_ids", {"position_ids": ids.cpu()}),
        "NumPy array": (ValueError, "CPU", {"x": x.cpu().numpy()}),
        "list": (TypeError, "list", {"x": [1.0]}),
        "integers": (TypeError, "int32", {"x": x.int()}),
        "fp8": (TypeError, "x: expected", {"x": x.to(torch.float8_e4m3fn)}),
        "complex": (TypeError, "complex64", {"x": complex_x}),
        "last stride": (ValueError, "last stride", {"x": torch.cat([x, x], -1)[..., ::2]}),
        "negative bit": (ValueError, "negation", {"x": complex_x.conj().imag}),
        "requires grad": (ValueError, "gradient", {"x": x.clone().requires_grad_()}),
        "narrow head": (ValueError, "head_dim", {"x": x[..., :14].contiguous()}),
        "float positions": (TypeError, "integers", {"position_ids": ids.float()}),
        "position shape": (ValueError, "broadcasts", {"position_ids": ids.T.contiguous()}),
        "uint64 positions": (TypeError, "uint64", {"position_ids": ids.to(torch.uint64)}),
        "layout": (ValueError, "layout", {"layout": "neox"}),
        "out dtype": (TypeError, "out", {"out": x.half()}),
        "out shape": (ValueError, "out", {"out": x[:1].clone()}),
        "out overlaps": (ValueError, "share", {"out": torch.cat([x, x])[1:3], "x": None}),
        "out expanded": (ValueError, "out", {"out": x[:1].expand(2, 3, 4, 16)}),
        "out on CPU": (ValueError, "out", {"out": x.cpu()}),
        "meta": (ValueError, "x", {"x": x.to("meta")}),
    }


REASONS = (
    *("CPU tensor", "CPU positions", "NumPy array", "list", "integers", "fp8", "complex"),
    *("last stride", "negative bit", "requires grad", "narrow head", "float positions"),
    *("position shape", "uint64 positions", "layout", "out dtype", "out shape", "out overlaps"),
    *("out expanded", "out on CPU", "meta"),
)


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_be_taken_is_refused_and_nothing_is_written(torch: Any, reason: str) -> None:
    error, word, change = refused(torch)[reason]
    out = torch.full((2, 3, 4, 16), 7.0, device="cuda")
    given: dict[str, Any] = {
        "x": randn(torch, 2, 3, 4, 16, dtype="float32"),
        "position_ids": torch.zeros(2, 3, device="cuda", dtype=torch.int64),
        "out": out,
        **change,
    }
    if reason == "out overlaps":
        both = torch.cat([given["position_ids"].new_zeros(2, 3, 4, 16).float()] * 2)
        given |= {"x": both[:2], "out": both[1:3]}
    with pytest.raises(error, match=word):
        ropelab_cuda.apply_rotary(
            given.pop("x"), given.pop("position_ids"), ropelab.Rope(16).spectrum(), **given
        )
    torch.cuda.synchronize()
    assert bool((out == 7.0).all())


@pytest.mark.parametrize("known", [False, True], ids=["first", "like the last"])
def test_an_output_that_requires_grad_is_written_only_where_none_is_recorded(
    torch: Any, known: bool
) -> None:
    x, k = randn(torch, 2, 3, 4, 16, dtype="float32"), randn(torch, 2, 3, 2, 16, dtype="float32")
    ids = torch.full((2, 3), 70_001, device="cuda")
    spectrum = ropelab.Rope(16).spectrum()
    wanted = ropelab_cuda.apply_rotary_qk(x, k, ids, spectrum)
    outs = [torch.full_like(y, 7.0) for y in (x, k)]
    if known:
        for _ in range(3):
            ropelab_cuda.apply_rotary(x, ids, spectrum, out=outs[0])
            ropelab_cuda.apply_rotary_qk(x, k, ids, spectrum, out=outs)
        for y in outs:
            y.fill_(7.0)
    for y in outs:
        y.requires_grad_()
    with pytest.raises(ValueError, match=r"^out: requires grad"):
        ropelab_cuda.apply_rotary(x, ids, spectrum, out=outs[0])
    outs[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"^out\[1\]: requires grad"):
        ropelab_cuda.apply_rotary_qk(x, k, ids, spectrum, out=outs)
    torch.cuda.synchronize()
    assert all(bool((y == 7.0).all()) for y in outs)
    with torch.no_grad():
        ropelab_cuda.apply_rotary_qk(x, k, ids, spectrum, out=outs)
    for y, z in zip(outs, wanted, strict=True):
        assert torch.equal(y.detach(), z)


def test_in_place_work_is_known_to_autograd(torch: Any) -> None:
    x = randn(torch, 1, 2, 3, 8, dtype="float32")
    weight = torch.ones_like(x, requires_grad=True)
    product = (weight * x).sum()  # saves x
    ropelab_cuda.apply_rotary_(x, torch.tensor([1, 2], device="cuda"), ropelab.Rope(8).spectrum())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_a_parameter_may_be_rotated_without_grad(torch: Any) -> None:
    x = torch.nn.Parameter(randn(torch, 1, 2, 3, 8, dtype="float32"))
    ids, spectrum = torch.tensor([1, 2], device="cuda"), ropelab.Rope(8).spectrum()
    with torch.no_grad():
        out = ropelab_cuda.apply_rotary(x, ids, spectrum)
    assert torch.equal(out, ropelab_cuda.apply_rotary(x.detach(), ids, spectrum))
    assert not out.requires_grad


@pytest.mark.parametrize("layouts", [("interleaved", "half"), ("half", "interleaved")])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_changing_the_layout_in_place_never_overtakes_itself(
    torch: Any, layouts: tuple[str, str], dtype: str
) -> None:
    """A store lands where another thread's load comes from: many blocks, many times."""
    spectrum = ropelab.Rope(64, base=1e4).spectrum()
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    q, k = (randn(torch, 2, 2048, heads, 192, dtype=dtype) for heads in (33, 3))
    ids = torch.randint(0, 2**30, (2, 2048), device="cuda")
    wanted = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum, rotary_offset=128, **options)
    for _ in range(50):
        places = (q.clone(), k.clone())
        ropelab_cuda.apply_rotary_qk_(*places, ids, spectrum, rotary_offset=128, **options)
        assert all(torch.equal(a, b) for a, b in zip(places, wanted, strict=True))
    few = slice(0, 3)
    expected = ropelab.apply_rotary(
        take(q[:, few]), take(ids[:, few]), spectrum, rotary_offset=128, **options
    )
    got = take(wanted[0][:, few].contiguous())
    assert got[..., :128].tobytes() == expected[..., :128].tobytes()
    assert pair_error(got[..., 128:], expected[..., 128:], layouts[1], 64) <= BOUNDS[dtype]
