"""What does not fit, and what is no plain tensor: a clear error, or the right result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import ropelab
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK
from ropelab_cuda.torch import (
    RotaryEmbedding,
    apply_rotary,
    apply_rotary_,
    apply_rotary_cached,
    spectrum_for,
)
from tests.torch_layer.one_rotation import (
    IDS,
    INV_FREQ,
    PATHS,
    SPECTRUM,
    check_rotated,
    expected,
    given,
)
from tests.torch_layer.support import NOISE, pair_error

pytestmark = NOISE


class Tagged(torch.Tensor):
    """A subclass that changes nothing."""


# What does not fit. Each is refused alike whether gradients are recorded or not.


@PATHS
def test_dtypes_that_differ(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    with pytest.raises(TypeError, match=r"k: expected the dtype of q, torch.float32; got"):
        apply_rotary(q, k.bfloat16(), IDS, SPECTRUM)


@PATHS
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_dtypes_that_are_not_rotated(dtype: torch.dtype, requires_grad: bool) -> None:
    q, k = (x.to(dtype) for x in given())
    if requires_grad and dtype != torch.int64:
        q.requires_grad_()
    with pytest.raises(TypeError, match=r"q: expected float64, float32, float16 or bfloat16"):
        apply_rotary(q, k, IDS, SPECTRUM)


SHAPES = [
    (IDS[:, :4], ValueError, r"position_ids: expected a shape that broadcasts to \(batch, seq"),
    (IDS[:1, :, None], ValueError, r"position_ids: expected a shape that broadcasts"),
    (
        IDS.float(),
        TypeError,
        r"position_ids: expected integers, which are exact; .*; convert them to int64 if every",
    ),
    (IDS > 3, TypeError, r"position_ids: expected integers, which are exact"),
    (IDS.tolist(), TypeError, r"position_ids: expected a torch.Tensor of integers.*got list"),
    (IDS.numpy(), TypeError, r"position_ids: expected a torch.Tensor of integers.*got ndarray"),
    (None, TypeError, r"position_ids: expected a torch.Tensor of integers.*got NoneType"),
    (Packed([0, 5]), ValueError, r"a Packed expects tensor_format 'thd'"),
    (Consecutive([1, 2, 3]), ValueError, r"offset: expected one integer, or one for each of 2"),
]


@PATHS
@pytest.mark.parametrize(("ids", "error", "message"), SHAPES, ids=range(len(SHAPES)))
def test_positions_that_do_not_fit(
    ids: Any, error: type[Exception], message: str, requires_grad: bool
) -> None:
    q, k = given(requires_grad=requires_grad)
    with pytest.raises(error, match=message):
        apply_rotary(q, k, ids, SPECTRUM)
    x, y = q.detach().clone(), k.detach().clone()
    with pytest.raises(error, match=message):
        apply_rotary_(x, y, ids, SPECTRUM)
    assert torch.equal(x, q)
    assert torch.equal(y, k)


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"layout": "neox"}, ValueError, "layout: expected one of 'half', 'interleaved'; got 'neox'"),
    ({"output_layout": "x"}, ValueError, "output_layout: expected one of"),
    ({"tensor_format": "thd"}, ValueError, "q: tensor_format 'thd' expects 3 axes"),
    ({"tensor_format": "bsdh"}, ValueError, "tensor_format: expected one of"),
    ({"angles": "float16"}, ValueError, "angles: expected one of 'exact', 'float32'"),
    ({"rotary_offset": 1}, ValueError, "rotary_offset: expected 0 to 0"),
    ({"rotary_offset": True}, TypeError, "rotary_offset: expected an integer; got True of type"),
    ({"rotary_offset": 2.0}, TypeError, "rotary_offset: expected an integer; got 2.0 of type"),
    ({"inverse": 1}, TypeError, "inverse: expected True or False; got 1 of type int"),
    ({"inverse": "no"}, TypeError, "inverse: expected True or False; got 'no' of type str"),
    ({"layout": None}, ValueError, "layout: expected one of 'half', 'interleaved'; got None"),
    ({"output_layout": 3}, ValueError, "output_layout: expected one of .*; got 3"),
    ({"tensor_format": None}, ValueError, "tensor_format: expected one of .*; got None"),
    ({"angles": None}, ValueError, "angles: expected one of 'exact', 'float32'; got None"),
]


@PATHS
@pytest.mark.parametrize(("options", "error", "message"), OPTIONS, ids=range(len(OPTIONS)))
def test_options_that_do_not_exist(
    options: dict[str, Any], error: type[Exception], message: str, requires_grad: bool
) -> None:
    q, k = given(requires_grad=requires_grad)
    with pytest.raises(error, match=message):
        apply_rotary(q, k, IDS, SPECTRUM, **options)
    x, y = q.detach().clone(), k.detach().clone()
    kind = Tagged if requires_grad else torch.Tensor
    with pytest.raises(error, match=message):
        apply_rotary_(x.as_subclass(kind), y, IDS, SPECTRUM, **options)
    assert torch.equal(x, q)
    assert torch.equal(y, k)
    if "angles" not in options:
        with pytest.raises(error, match=message):
            apply_rotary_cached(q, k, torch.ones(5, 6), torch.zeros(5, 6), **options)


@PATHS
def test_integers_and_truth_values_of_numpy_are_as_good(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    options: dict[str, Any] = {"rotary_offset": np.int64(0), "inverse": np.bool_(False)}
    check_rotated(apply_rotary(q, k, IDS, SPECTRUM, **options), (q, k))


@PATHS
def test_shapes_that_differ(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    with pytest.raises(ValueError, match="k: expected the same tokens as q"):
        apply_rotary(q, k[:, :4], IDS, SPECTRUM)
    with pytest.raises(ValueError, match="k: expected the head_dim of q, 12; got 10"):
        apply_rotary(q, k[..., :10], IDS, SPECTRUM)
    with pytest.raises(ValueError, match=r"q: head_dim \(the last axis\) is 10, smaller than"):
        apply_rotary(q[..., :10], k[..., :10], IDS, SPECTRUM)


@PATHS
def test_tables_that_do_not_fit(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    table = torch.rand(5, 6)
    for cos, sin, error, message in (
        (table[:4], table[:4], ValueError, r"cos: expected shape \(\.\.\., d/2\)"),
        (table, table[:, :5], ValueError, "sin: expected the width of cos, 6; got 5"),
        (table, table.double(), TypeError, "sin: expected the dtype of cos, torch.float32; got"),
        (torch.rand(5, 12), torch.rand(5, 12), ValueError, "cos: expected at most 6 columns"),
    ):
        with pytest.raises(error, match=message):
            apply_rotary_cached(q, k, cos, sin)
    twice, odd, repeated = torch.rand(5, 12), torch.rand(5, 11), "repeated: expected True or False"
    with pytest.raises(ValueError, match=r"sin: repeated=True expects shape \(\.\.\., d\)"):
        apply_rotary_cached(q, k, twice, odd, repeated=True)
    with pytest.raises(TypeError, match=repeated):
        apply_rotary_cached(q, k, twice, twice, repeated=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k: expected the same tokens as q"):
        apply_rotary_cached(q, k[:, :4], table, table)


@PATHS
@pytest.mark.parametrize("other", [np.ones((2, 5, 4, 12)), [1], None], ids=type)
@pytest.mark.parametrize("name", ["q", "k"])
def test_what_is_no_tensor(name: str, other: object, requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    tensors: dict[str, Any] = {"q": q, "k": k} | {name: other}
    x, y = tensors.values()
    kind = type(other).__name__
    table = torch.rand(5, 6)
    module = RotaryEmbedding(ropelab.Rope(12))
    for call in (
        lambda: module(x, y, IDS),
        lambda: apply_rotary(x, y, IDS, SPECTRUM),
        lambda: apply_rotary_(x, y, IDS, SPECTRUM),
        lambda: apply_rotary_cached(x, y, table, table),
    ):
        with pytest.raises(TypeError, match=f"{name}: expected a torch.Tensor; got {kind}"):
            call()


@PATHS
@pytest.mark.parametrize("spectrum", [ropelab.Rope(12), None, SPECTRUM.inv_freq], ids=type)
def test_what_is_no_spectrum(spectrum: Any, requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    with pytest.raises(TypeError, match=r"spectrum: expected a ropelab.Spectrum; got"):
        apply_rotary(q, k, IDS, spectrum)


@PATHS
@pytest.mark.parametrize("name", ["k", "position_ids"])
def test_tensors_on_different_devices(name: str, requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    tensors = {"q": q, "k": k, "position_ids": IDS}
    tensors[name] = tensors[name].to("meta")
    with pytest.raises(ValueError, match=f"{name}: expected a tensor on the device of q, cpu; got"):
        apply_rotary(tensors["q"], tensors["k"], tensors["position_ids"], SPECTRUM)


@PATHS
@pytest.mark.parametrize("name", ["k", "cos", "sin"])
def test_tables_on_another_device(name: str, requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    tensors = {"q": q, "k": k, "cos": torch.ones(5, 6), "sin": torch.zeros(5, 6)}
    tensors[name] = tensors[name].to("meta")
    with pytest.raises(ValueError, match=r"(x|cos|sin): expected a tensor on the device of x, "):
        apply_rotary_cached(*tensors.values())


def test_a_length_found_on_another_device() -> None:
    q, k = given()
    rope = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=64)
    spectrum = spectrum_for(rope, IDS.to("meta"))
    with pytest.raises(ValueError, match="spectrum: expected a tensor on the device of q, cpu"):
        apply_rotary(q, k, IDS, spectrum)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:Sparse")
@pytest.mark.parametrize("name", ["q", "k", "position_ids", "cos"])
@pytest.mark.parametrize("kind", ["sparse", "nested", "jagged"])
def test_tensors_that_are_not_dense(kind: str, name: str) -> None:
    tensors: dict[str, torch.Tensor] = dict(zip("qk", given(), strict=True))
    tensors |= {"position_ids": IDS, "cos": torch.ones(2, 5, 6)}
    if kind == "sparse":
        tensors[name], message = tensors[name].to_sparse(), r"torch.sparse_coo; call .to_dense\(\)"
    else:
        layout = torch.jagged if kind == "jagged" else torch.strided
        tensors[name] = torch.nested.nested_tensor([*tensors[name]], layout=layout)
        message = r"a nested one; pad it by .to_padded_tensor"
    q, k, ids, cos = tensors.values()
    calls: list[Callable[[], object]] = [lambda: apply_rotary_cached(q, k, cos, torch.ones(5, 6))]
    if name != "cos":
        module, rope = RotaryEmbedding(ropelab.Rope(12)), ropelab.Rope(12, scaling=DynamicNTK(2.0))
        calls = [
            *(
                lambda: apply_rotary(q, k, ids, SPECTRUM),
                lambda: apply_rotary_(q, k, ids, SPECTRUM),
            ),
            lambda: module(q, k, ids),
        ]
        if name == "position_ids":
            calls.append(lambda: spectrum_for(rope, ids))
    for call in calls:
        with pytest.raises(TypeError, match=f"^{name}: expected a dense tensor; got .*{message}"):
            call()


# Tensors that are more, or less, than they seem.


def negated(x: torch.Tensor) -> torch.Tensor:
    made = torch.complex(torch.zeros_like(x), x).conj().imag
    assert made.is_neg()
    return made


@PATHS
def test_a_pending_negation(requires_grad: bool) -> None:
    q, k = given()
    k.requires_grad_(requires_grad)
    check_rotated(apply_rotary(negated(q), k, IDS, SPECTRUM), (-q, k))
    with pytest.raises(ValueError, match="q: expected a tensor whose memory holds its values"):
        apply_rotary_(negated(q), k.detach().clone(), IDS, SPECTRUM)


@PATHS
def test_a_pending_negation_of_keys_or_tables(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    check_rotated(apply_rotary(q, negated(k.detach()), IDS, SPECTRUM), (q, -k))
    angles = IDS.double()[..., None] * torch.tensor(INV_FREQ, dtype=torch.float64)
    cos, sin = angles.cos().float(), angles.sin().float()
    made = apply_rotary_cached(q, k, cos, negated(sin), inverse=True)
    for y, x in zip(made, (q, k), strict=True):
        assert pair_error(y.detach(), expected(x)) <= 3.0  # of cos and sin too


def test_a_pending_zero() -> None:
    q, k = given()
    zero = torch._efficientzerotensor(q.shape)
    made = apply_rotary(zero, k, IDS, SPECTRUM)
    assert made[0].count_nonzero() == 0
    check_rotated(made[1:], (k,))


@PATHS
def test_subclasses_keep_their_class(requires_grad: bool) -> None:
    q, k = given(requires_grad=requires_grad)
    made = apply_rotary(q.as_subclass(Tagged), k, IDS, SPECTRUM)
    assert type(made[0]) is Tagged
    check_rotated(tuple(y.as_subclass(torch.Tensor) for y in made), (q, k))


def test_subclasses_are_rotated_in_place() -> None:
    q, k = given()
    x, y = q.clone().as_subclass(Tagged), k.clone()
    apply_rotary_(x, y, IDS, SPECTRUM)
    check_rotated((x.as_subclass(torch.Tensor), y), (q, k))


def test_parameters() -> None:
    q, k = given()
    parameter = torch.nn.Parameter(q)
    made = apply_rotary(parameter, k, IDS, SPECTRUM)
    assert made[0].requires_grad
    check_rotated(made, (q, k))


def test_meta_tensors_have_shapes_alone() -> None:
    q, k = (x.to("meta") for x in given())
    for made in (apply_rotary(q, k, IDS.to("meta"), SPECTRUM), (q, k)):
        assert [(x.shape, x.device.type) for x in made] == [(x.shape, "meta") for x in (q, k)]
    assert apply_rotary_(q, k, IDS.to("meta"), SPECTRUM) == (q, k)


def test_fake_tensors_have_shapes_alone_and_are_checked() -> None:
    with FakeTensorMode() as mode:
        q, k = (mode.from_tensor(x) for x in given())
        ids = mode.from_tensor(IDS)
        made = apply_rotary(q, k, ids, SPECTRUM)
        assert all(type(x) is FakeTensor for x in made)
        assert apply_rotary_(q, k, ids, SPECTRUM)[0] is q
        with pytest.raises(ValueError, match="position_ids: expected a shape that broadcasts"):
            apply_rotary(q, k, ids[:, :4], SPECTRUM)
        with pytest.raises(TypeError, match="k: expected the dtype of q"):
            apply_rotary(q, k.double(), ids, SPECTRUM)
        table = torch.rand(5, 5)
        with pytest.raises(ValueError, match="sin: expected the width of cos, 6; got 5"):
            apply_rotary_cached(q, k, torch.rand(5, 6), table)


def test_real_tensors_among_fakes_are_not_read() -> None:
    q, k = given()
    with FakeTensorMode(), pytest.raises(AssertionError, match="convert all Tensors to FakeTens"):
        apply_rotary(q, k, IDS, SPECTRUM)


def test_functionalised_tensors() -> None:
    q, k = given()
    wrap, unwrap = torch._to_functional_tensor, torch._from_functional_tensor
    made = apply_rotary(wrap(q), wrap(k), wrap(IDS), SPECTRUM)
    check_rotated(tuple(unwrap(y) for y in made), (q, k))
    with pytest.raises(RuntimeError, match="alias annotations"):
        apply_rotary_(wrap(q), wrap(k), wrap(IDS), SPECTRUM)

    def turn(q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return apply_rotary(q, k, IDS, SPECTRUM)

    check_rotated(torch.func.functionalize(turn)(q, k), (q, k))
