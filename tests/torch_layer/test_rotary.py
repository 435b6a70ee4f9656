"""Rotations by the public functions, against complex numbers of float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ropelab
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import YaRN
from ropelab_cuda.torch import apply_rotary, apply_rotary_, apply_rotary_cached
from ropelab_cuda.torch.positions import listed
from tests.torch_layer.support import FORMATS, pair_error, qk, turned

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
BASE = 500.0
ROPE = ropelab.Rope(12, base=BASE, rotary_dim=6)
SPECTRUM = ROPE.spectrum()
INV_FREQ = [BASE ** (-i / 3) for i in range(3)]
# Far and odd, and not the same for both sequences.
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])
# A rounding; for float64 the error of the truth's own angle, of 131,071 radians, half an ulp.
BOUNDS = {torch.float64: 1.5 * 131_072, torch.float32: 1.5, torch.bfloat16: 1.01}
PLACES: list[dict[str, Any]] = [
    {},
    {"layout": "interleaved"},
    {"layout": "interleaved", "output_layout": "half", "rotary_offset": 5},
    {"layout": "half", "output_layout": "interleaved", "inverse": True},
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place.values())))
@pytest.mark.parametrize("tensor_format", FORMATS)
@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
def test_queries_and_keys_are_rotated(
    dtype: torch.dtype, tensor_format: str, place: dict[str, Any], requires_grad: bool, device: str
) -> None:
    given = qk(tensor_format, dtype=dtype, device=device, requires_grad=requires_grad)
    ids = IDS.to(device)
    made = apply_rotary(*given, ids, SPECTRUM, tensor_format=tensor_format, **place)
    for x, y in zip(given, made, strict=True):
        assert (y.dtype, y.device, y.requires_grad) == (x.dtype, x.device, requires_grad)
        expected = turned(x.detach(), ids, INV_FREQ, tensor_format=tensor_format, **place)
        assert pair_error(y.detach(), expected) <= BOUNDS[dtype]


@pytest.mark.parametrize("device", DEVICES)
def test_amplitudes_multiply(device: str) -> None:
    rope = ropelab.Rope(12, scaling=YaRN(4.0, original_max_position_embeddings=64))
    spectrum = rope.spectrum()
    assert spectrum.attention_factor > 1.1
    q, k = qk(device=device, dtype=torch.float32)
    ids = IDS.to(device)
    expected = turned(k, ids, spectrum.inv_freq.tolist(), factor=spectrum.attention_factor)
    for needs_grad in (False, True):
        made = apply_rotary(q.requires_grad_(needs_grad), k, ids, spectrum)[1]
        assert pair_error(made.detach(), expected) <= 1.5


@pytest.mark.parametrize("device", DEVICES)
def test_in_place_overwrites_what_was_given_and_nothing_else(device: str) -> None:
    packed = torch.full((2, 5, 9, 12), torch.nan, device=device)
    q, k = packed[:, :, 1:5], packed[:, :, 6:8]  # views of one projection
    for view, x in zip((q, k), qk(dtype=torch.float32), strict=True):
        view.copy_(x)
    ids, before = IDS.to(device), packed.clone()
    versions = packed._version
    made = apply_rotary_(q, k, ids, SPECTRUM, layout="interleaved")
    assert made[0] is q
    assert made[1] is k
    assert packed._version == versions + 2
    for y, x in ((q, before[:, :, 1:5]), (k, before[:, :, 6:8])):
        assert pair_error(y, turned(x, ids, INV_FREQ, layout="interleaved")) <= 1.5
    assert packed[:, :, [0, 5, 8]].isnan().all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])
def test_given_tables_rotate(requires_grad: bool, device: str) -> None:
    q, k = qk("bhsd", dtype=torch.bfloat16, device=device, requires_grad=requires_grad)
    ids = IDS.to(device)
    angles = ids[..., None].double() * torch.tensor(INV_FREQ, dtype=torch.float64, device=device)
    options: dict[str, Any] = {
        "tensor_format": "bhsd",
        "layout": "interleaved",
        "rotary_offset": 1,
    }
    made = apply_rotary_cached(q, k, angles.cos().float(), angles.sin().float(), **options)
    for x, y in zip((q, k), made, strict=True):
        assert pair_error(y.detach(), turned(x.detach(), ids, INV_FREQ, **options)) <= 1.01


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recorded", ["nothing", "queries", "tables"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place.values())))
def test_tables_may_have_two_columns_a_pair(
    place: dict[str, Any], recorded: str, device: str
) -> None:
    q, k = qk("bhsd", dtype=torch.float32, device=device, requires_grad=recorded == "queries")
    ids = IDS.to(device)
    angles = ids[..., None].double() * torch.tensor(INV_FREQ, dtype=torch.float64, device=device)
    # Where a rotated pair lies, whichever way it turns; what the second column holds is not read.
    target = place.get("output_layout", place.get("layout", "half"))
    first = slice(None, 3) if target == "half" else slice(None, None, 2)
    tables = []
    for values in (angles.cos(), angles.sin()):
        table = torch.full((*IDS.shape, 6), float("nan"), device=device)
        table[..., first] = values.float()
        tables.append(table.requires_grad_(recorded == "tables"))
    made = apply_rotary_cached(q, k, *tables, repeated=True, tensor_format="bhsd", **place)
    for x, y in zip((q, k), made, strict=True):
        expected = turned(x.detach(), ids, INV_FREQ, tensor_format="bhsd", **place)
        assert pair_error(y.detach(), expected) <= 2.0  # of cos and sin too
    if recorded == "tables":
        (grad,) = torch.autograd.grad(made[0].sum(), tables[0])
        assert grad.count_nonzero(dim=(0, 1)).nonzero().flatten().tolist() == [*range(6)][first]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])
@pytest.mark.parametrize("kind", ["number", "tensor"])
def test_positions_may_be_counted(kind: str, requires_grad: bool, device: str) -> None:
    offset = torch.tensor([70_001, -3], device=device) if kind == "tensor" else 70_001
    first = torch.tensor([[70_001], [-3 if kind == "tensor" else 70_001]], device=device)
    ids = first + torch.arange(5, device=device)
    q, k = qk(dtype=torch.float32, device=device, requires_grad=requires_grad)
    for x, y in zip((q, k), apply_rotary(q, k, Consecutive(offset), SPECTRUM), strict=True):
        assert pair_error(y.detach(), turned(x.detach(), ids, INV_FREQ)) <= 1.5


PACKS = {
    "whole": Packed(torch.tensor([0, 3, 3, 8, 9])),
    "offset": Packed([0, 3, 3, 8, 9], offset=7),
    "offsets": Packed([0, 3, 3, 8, 9], offset=torch.tensor([5, 6, 70_000, 8])),
    "rank 0": Packed([0, 4, 4, 20], offset=[0, 1, 9], cp_size=2),
    "rank 2": Packed([0, 6, 18, 18, 36], offset=3, cp_size=3, cp_rank=2),
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_packed_positions_are_listed_as_the_specification_does(pack: Packed) -> None:
    tokens = int(torch.as_tensor(pack.cu_seqlens)[-1]) // pack.cp_size
    ids = listed(pack, torch.empty(tokens, 3, 12), "thd")
    assert ids.tolist() == pack.ids((tokens,)).tolist()
    longer = listed(pack, torch.empty(tokens + 2, 3, 12), "thd")
    assert longer.tolist() == [*ids.tolist(), 0, 0]


def test_a_pack_without_sequences_is_listed() -> None:
    assert listed(Packed([0]), torch.empty(2, 3, 12), "thd").tolist() == [0, 0]


@pytest.mark.parametrize("device", DEVICES)
def test_a_pack_rotates_alike_with_and_without_gradients(device: str) -> None:
    pack = Packed(torch.tensor([0, 1, 5], device=device))
    q, k = (x[0] for x in qk(device=device, dtype=torch.float32))
    ids = torch.tensor([[0, 0, 1, 2, 3]], device=device)
    for needs_grad in (False, True):
        made = apply_rotary(q.requires_grad_(needs_grad), k, pack, SPECTRUM, tensor_format="thd")
        for x, y in zip((q, k), made, strict=True):
            expected = turned(x.detach()[None], ids, INV_FREQ)
            assert pair_error(y.detach()[None], expected) <= 1.5


@pytest.mark.parametrize("device", DEVICES)
def test_several_position_axes_turn_their_own_pairs(device: str) -> None:
    spectrum = ropelab.Rope(12, base=BASE, rotary_dim=6, axes=[1, 0, 1]).spectrum()
    q, k = qk(dtype=torch.float32, device=device)
    ids = torch.stack([IDS, IDS + 11]).to(device)
    for needs_grad in (False, True):
        y = apply_rotary(q.requires_grad_(needs_grad), k, ids, spectrum)[1].detach()
        for axis, pairs in ((0, [1]), (1, [0, 2])):
            expected = turned(k, ids[axis], INV_FREQ)
            channels = [*pairs, *(i + 3 for i in pairs)]
            assert pair_error(y[..., channels], expected[..., channels]) <= 3.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 2, 1)], ids=str)
@pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])
def test_results_lie_in_memory_as_what_was_given(
    requires_grad: bool, axes: tuple[int, ...], device: str
) -> None:
    given = [
        x.permute(axes).contiguous().permute(axes).detach().requires_grad_(requires_grad)
        for x in qk(dtype=torch.float32, device=device)
    ]
    made = apply_rotary(given[0], given[1], IDS.to(device), SPECTRUM)
    for x, y in zip(given, made, strict=True):
        assert y.stride() == x.stride()
        assert pair_error(y.detach(), turned(x.detach(), IDS.to(device), INV_FREQ)) <= 1.5
