"""One graph without a break, for any length: forward, backward, in place, and under transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from unittest import mock

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.compiler import config
from torch.utils.checkpoint import checkpoint

import ropelab
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK, Linear
from ropelab_cuda.torch import apply_rotary, apply_rotary_, apply_rotary_cached, spectrum_for
from tests.torch_layer.support import NOISE, qk

pytestmark = NOISE


@pytest.fixture(autouse=True)
def no_old_graphs() -> Iterator[None]:
    """Compile anew: graphs on disk know which results of an older version required grad."""
    with config.patch(force_disable_caches=True):  # type: ignore[attr-defined]
        yield


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
Tensors = tuple[torch.Tensor, ...]
SPECTRUM = ropelab.Rope(12, rotary_dim=6).spectrum()
IDS = torch.arange(5)
FIXED = ropelab.Rope(12, scaling=Linear(3.0))
DYNAMIC = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=4096)


class Model(torch.nn.Module):
    """Two layers, whose ropes are attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed, self.dynamic = FIXED, DYNAMIC

    def forward(self, q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
        q, k = apply_rotary(q, k, ids, spectrum_for(self.fixed, ids), layout="interleaved")
        return apply_rotary(q * 2, k * 3, ids, spectrum_for(self.dynamic, ids), angles="float32")


def by_closure(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    return apply_rotary(q, k, ids, SPECTRUM, rotary_offset=4)


def by_length(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    return apply_rotary(q, k, ids, spectrum_for(DYNAMIC, ids, 4000 * q.shape[1]))


def overwriting(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    q, k = q.detach() * 2, k.detach() * 3
    apply_rotary_(q, k, ids, SPECTRUM)
    return q, k


def overwriting_inputs(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    return apply_rotary_(q.detach(), k.detach(), ids, SPECTRUM)


def by_tables(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    cos = ids[..., None] * torch.arange(3, device=ids.device) / 131_072
    return apply_rotary_cached(q, k, cos, 1 - cos)


def by_repeated_tables(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    cos = ids[..., None] * torch.arange(6, device=ids.device) / 131_072
    place: dict[str, Any] = {"layout": "interleaved", "output_layout": "half", "rotary_offset": 1}
    return apply_rotary_cached(q, k, cos, 1 - cos, repeated=True, **place)


def counting(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    q, k = apply_rotary(q, k, Consecutive(70_001), SPECTRUM)
    return apply_rotary(q, k, Consecutive(ids[:, 0]), SPECTRUM)


def packed(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    bounds = torch.cat([ids.new_tensor([0, 1]), ids.new_full((1,), q.shape[1])])
    return apply_rotary(q[0], k[0], Packed(bounds), SPECTRUM, tensor_format="thd")


def checkpointed(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    made: Tensors = checkpoint(by_closure, q, k, ids, use_reentrant=False)
    return made


def vmapped(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    def each(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
        return apply_rotary(q, k, ids, SPECTRUM, tensor_format="thd")

    made: Tensors = torch.vmap(each)(q, k, ids)
    return made


def differentiated(q: torch.Tensor, k: torch.Tensor, ids: torch.Tensor) -> Tensors:
    def loss(q: torch.Tensor) -> torch.Tensor:
        return sum(
            ((y * y * y).sum() for y in by_closure(q, k, ids)), torch.zeros((), device=q.device)
        )

    return (torch.func.grad(loss)(q.detach()),)


FUNCTIONS: list[Callable[..., Tensors]] = [
    *(Model(), by_closure, by_length, overwriting, overwriting_inputs, by_tables),
    *(by_repeated_tables, counting, packed, checkpointed, vmapped, differentiated),
]


def name_of(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_one_graph_serves_all_lengths(
    function: Callable[..., Tensors], backend: str, device: str
) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counter)
    generator = torch.Generator().manual_seed(0)
    for tokens in (3, 7, 12):
        inputs, expected = (
            qk(tokens=tokens, dtype=torch.float32, device=device, requires_grad=True)
            for _ in range(2)
        )
        ids = torch.randint(0, 131_072, (2, tokens), generator=generator).to(device)
        made, wanted = compiled(*inputs, ids), function(*expected, ids)
        for y, z in zip(made, wanted, strict=True):
            # Inductor may contract the multiplications around an operator, not those in it.
            torch.testing.assert_close(y, z, rtol=1e-6, atol=1e-6)
        if all(y.requires_grad for y in made):
            for outs in (made, wanted):
                sum(((y * y).sum() for y in outs), torch.zeros((), device=device)).backward()  # type: ignore[no-untyped-call]
            for x, z in zip(inputs, expected, strict=True):
                torch.testing.assert_close(x.grad, z.grad, rtol=1e-5, atol=1e-5)
    assert counter.frame_count == 1


def test_another_spectrum_is_another_graph() -> None:
    torch._dynamo.reset()
    q, k = qk(dtype=torch.float32)
    ids = torch.arange(5) + 70_001

    def turn(spectrum: ropelab.Spectrum) -> torch.Tensor:
        return apply_rotary(q, k, ids, spectrum)[1]

    compiled = torch.compile(turn, fullgraph=True, backend="eager")
    spectra = [ropelab.Rope(12, base=base).spectrum() for base in (1e4, 500.0, 1e6)]
    for spectrum in [*spectra, *spectra, ropelab.Rope(12, base=77.0).spectrum()]:
        assert torch.equal(compiled(spectrum), turn(spectrum))


def test_what_a_graph_has_seen_keeps_its_address() -> None:
    torch._dynamo.reset()
    q, k = qk(dtype=torch.float32)
    ids = torch.arange(5) + 70_001

    def turn(spectrum: ropelab.Spectrum) -> torch.Tensor:
        return apply_rotary(q, k, ids, spectrum)[1]

    compiled = torch.compile(turn, fullgraph=True, backend="eager")
    for base in (500.0, 600.0, 700.0, 800.0):  # each is dropped, and the next may take its place
        made = compiled(ropelab.Rope(12, base=base).spectrum())
        assert torch.equal(made, turn(ropelab.Rope(12, base=base).spectrum()))


@pytest.mark.parametrize("device", DEVICES)
def test_an_exported_program_needs_nothing_else(device: str) -> None:
    inputs = (*qk(dtype=torch.float32, device=device), torch.arange(5, device=device) + 70_001)
    lengths = {1: torch.export.Dim.DYNAMIC}
    ids_length = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(Model(), inputs, dynamic_shapes=(lengths, lengths, ids_length))
    file = BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded: Any = torch.export.load(file).module()
    longer = (
        *qk(tokens=9, dtype=torch.float32, device=device),
        torch.arange(9, device=device) + 3,
    )
    for y, z in zip(loaded(*longer), Model()(*longer), strict=True):
        assert torch.equal(y, z)


@pytest.mark.gpu
@pytest.mark.parametrize("function", [Model(), by_closure, counting], ids=name_of)
def test_cuda_graphs_replay_it(function: Callable[..., Tensors]) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    replayed: list[torch.cuda.CUDAGraph] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        replayed.append(graph)
        replay(graph)

    compiled = torch.compile(function, fullgraph=True, mode="reduce-overhead")
    with torch.no_grad(), mock.patch.object(torch.cuda.CUDAGraph, "replay", counted):
        for seed in range(4):
            inputs = qk(seed=seed, dtype=torch.bfloat16, device="cuda")
            ids = torch.tensor([[1], [70_001 + 997 * seed]], device="cuda") + torch.arange(
                5, device="cuda"
            )
            made = [y.clone() for y in compiled(*inputs, ids)]
            for y, z in zip(made, function(*inputs, ids), strict=True):
                torch.testing.assert_close(y, z, rtol=0.0, atol=0.0)
    # Torch passes graphs by without a word where something cannot be captured. Otherwise it warms
    # up with the first call and records the second, so that the others are replays at least.
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == 0
    assert len(replayed) >= 2


def test_wrong_positions_are_refused_while_a_graph_is_made() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(by_closure, fullgraph=True, backend="eager")
    with pytest.raises(Exception, match=r"position_ids: expected a shape that broadcasts"):
        compiled(*qk(dtype=torch.float32), torch.arange(4))


def test_the_place_in_a_sequence_may_change() -> None:
    """Decoding: one more at each call."""
    q, k = qk(dtype=torch.float32)

    def at(q: torch.Tensor, k: torch.Tensor, offset: int) -> Tensors:
        return apply_rotary(q, k, Consecutive(offset), SPECTRUM)

    compiled = torch.compile(at, backend="aot_eager", fullgraph=True)
    for offset in (0, 1, 2, 70_001):
        for actual, wanted in zip(compiled(q, k, offset), at(q, k, offset), strict=True):
            assert torch.equal(actual, wanted)


@pytest.mark.parametrize("seq_len", [0, -5, True, 20.5])
def test_a_length_that_is_none_is_refused(seq_len: Any) -> None:
    q, k = qk(dtype=torch.float32)
    rope = ropelab.Rope(q.shape[-1], scaling=DynamicNTK(2.0), max_position_embeddings=16)

    def rotated(q: torch.Tensor, k: torch.Tensor, seq_len: Any) -> Tensors:
        return apply_rotary(q, k, IDS, spectrum_for(rope, IDS, seq_len))

    with pytest.raises((torch._dynamo.exc.Unsupported, ValueError), match="seq_len"):
        torch.compile(rotated, backend="eager", fullgraph=True)(q, k, seq_len)
