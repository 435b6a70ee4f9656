"""What is checked of DTensors: shards, put together, are the unsharded result bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import ropelab
import ropelab_cuda.torch.sharding  # noqa: F401  # registers what is checked
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK
from ropelab_cuda.torch import (
    SpectrumText,
    apply_rotary,
    apply_rotary_,
    apply_rotary_cached,
    spectrum_for,
)
from tests.torch_layer.sharded_support import (
    SPECTRUM,
    inputs,
    noise,
    rotated,
    same,
    silence,
    spread,
)

__all__ = ["CHECKS"]

PLACES: dict[str, dict[str, Any]] = {
    "bshd": {"layout": "interleaved", "rotary_offset": 4},
    "bhsd": {"output_layout": "interleaved"},
    "sbhd": {"inverse": True},
    "thd": {"angles": "float32"},
}


def shards_rotate_where_they_lie(mesh: Any, tensor_format: str, letter: str) -> None:
    tensors, ids = inputs(mesh, tensor_format)
    options = {"tensor_format": tensor_format, **PLACES[tensor_format]}
    placement = Shard(tensor_format.index(letter))
    given = spread(tensors, mesh, placement)
    axis = {"t": 0, "b": 0, "s": 1}.get(letter)  # of positions
    positions = distribute_tensor(ids, mesh, [Replicate() if axis is None else Shard(axis)])
    with silence():
        found = rotated(given, positions, **options)
    assert {x.placements for x in found} == {(placement,)}
    assert found[0].to_local().shape != tensors[0].shape
    same(found, rotated(tensors, ids, **options))


def positions_may_broadcast(mesh: Any) -> None:
    tensors, ids = inputs(mesh, "bshd")
    for axis, few, placement in (
        *((1, ids[0], Shard(0)), (1, ids[:1], Shard(1)), (1, ids[:, :1], Replicate())),
        *((0, ids[0], Replicate()), (0, ids[:, :1], Shard(0)), (0, ids[0, 0], Replicate())),
        *((1, ids, Replicate()), (0, ids, Replicate())),  # each rank takes what it needs
    ):
        given = spread(tensors, mesh, Shard(axis))
        positions = distribute_tensor(few, mesh, [placement])
        with silence():
            found = rotated(given, positions)
        assert {x.placements for x in found} == {(Shard(axis),)}
        same(found, rotated(tensors, few))


def keys_of_one_head_stay_whole(mesh: Any) -> None:
    (q, k, *grads), ids = inputs(mesh, "bhsd", h=2)
    given = [
        distribute_tensor(x, mesh, [Shard(1) if x.shape[1] == 2 else Replicate()])
        for x in (q, k, *grads)
    ]
    positions = distribute_tensor(ids, mesh, [Replicate()])
    with silence():
        found = rotated(given, positions, tensor_format="bhsd")
    assert [x.placements[0] for x in found] == [Shard(1), Replicate()] * 2
    same(found, rotated([q, k, *grads], ids, tensor_format="bhsd"))


def meshes_may_have_two_dimensions(mesh: Any) -> None:
    grid = init_device_mesh(mesh.device_type, (1, 2))
    tensors, ids = inputs(mesh, "sbhd")
    given = spread(tensors, grid, Shard(0), Shard(2))
    found = rotated(
        given, distribute_tensor(ids, grid, [Shard(1), Replicate()]), tensor_format="sbhd"
    )
    assert {x.placements for x in found} == {(Shard(0), Shard(2))}
    same(found, rotated(tensors, ids, tensor_format="sbhd"))


def a_sum_comes_before_its_rotation(mesh: Any) -> None:
    tensors, ids = inputs(mesh, "bshd", torch.float32)
    parts = [[x * 1e4, x - x * 1e4] for x in tensors]  # which cancel
    own = [DTensor.from_local(part[mesh.get_rank()], mesh, [Partial()]) for part in parts]
    found = rotated(own, distribute_tensor(ids, mesh, [Replicate()]))
    same(found, rotated([first + second for first, second in parts], ids))


def a_rule_is_asked_anew_where_axes_mean_something_else(mesh: Any) -> None:
    tensors, ids = inputs(mesh, "bshd", b=4, s=4)
    tensors[1:4:2] = tensors[0:3:2]  # as many heads, so that all axes are as long
    given, positions = spread(tensors, mesh, Shard(1)), distribute_tensor(ids, mesh, [Replicate()])
    for tensor_format in ("bshd", "bhsd", "sbhd"):
        found = rotated(given, positions, tensor_format=tensor_format)
        assert {x.placements for x in found} == {(Shard(1),)}
        same(found, rotated(tensors, ids, tensor_format=tensor_format))


def position_axes_are_no_tokens(mesh: Any) -> None:
    axes = ropelab.Rope(12, axes=[0, 2, 1, 0, 1, 2]).spectrum()
    tensors, ids = inputs(mesh, "bshd", s=4)
    given, positions = spread(tensors, mesh, Shard(0)), distribute_tensor(ids, mesh, [Replicate()])
    for spectrum in (SPECTRUM, axes, SPECTRUM):  # the same ids, of shape (3, 4)
        same(rotated(given, positions, spectrum), rotated(tensors, ids, spectrum))
    full = torch.stack([ids, ids + 1, ids + 70_000])
    for axis in (0, 1):
        given = spread(tensors, mesh, Shard(axis))
        positions = distribute_tensor(full, mesh, [Shard(axis + 1)])
        with silence():
            found = rotated(given, positions, axes)
        same(found, rotated(tensors, full, axes))


def shards_are_overwritten_in_place(mesh: Any) -> None:
    (q, k, *_), ids = inputs(mesh, "bshd")
    expected = apply_rotary(q, k, ids, SPECTRUM)
    for axis in (0, 1, 2):
        given = spread([q, k], mesh, Shard(axis))
        places = [x.to_local().data_ptr() for x in given]
        positions = distribute_tensor(ids, mesh, [Shard(axis) if axis < 2 else Replicate()])
        with silence():
            apply_rotary_(given[0], given[1], positions, SPECTRUM)
        assert [x.to_local().data_ptr() for x in given] == places
        assert [x._version for x in given] == [1, 1]
        same(given, expected)
    whole = distribute_tensor(k, mesh, [Replicate()])
    before = given[0].full_tensor()
    with pytest.raises(RuntimeError, match=r"k: expected the placements of q, .*use apply_rotary"):
        apply_rotary_(given[0], whole, positions, SPECTRUM)
    assert torch.equal(given[0].full_tensor(), before)
    assert torch.equal(whole.to_local(), k)


def tables_are_sharded_with_their_tokens(mesh: Any) -> None:
    (q, k, *grads), _ = inputs(mesh, "bhsd", torch.float32)
    q, k, *grads = (x.mul(8).round() for x in (q, k, *grads))  # sums without rounding
    tables = [noise([3, 7, 4], mesh, seed, torch.float32).mul(8).round() for seed in (5, 6)]
    for axis, placement in ((0, Shard(0)), (2, Shard(1)), (1, Replicate())):
        given = spread([q, k], mesh, Shard(axis)), spread(tables, mesh, placement)
        found = by_tables(*given, spread(grads, mesh, Shard(axis)))
        same(found, by_tables([q, k], tables, grads))


def by_tables(heads: list[Any], tables: list[Any], grads: list[Any]) -> tuple[Any, ...]:
    leaves = [x.detach().requires_grad_() for x in (*heads, *tables)]
    with silence():
        made = apply_rotary_cached(*leaves, tensor_format="bhsd", rotary_offset=2)
        found = torch.autograd.grad(made, leaves, grads)
    return (*(x.detach() for x in made), *found)


def a_length_is_that_of_all_tokens(mesh: Any) -> None:
    tensors, ids = inputs(mesh, "bshd")
    ids = ids.clamp(min=0)
    ids[-1, -1] = 2**21  # on one rank alone
    for width in (12, 8, 12):  # spectra of other widths have more or fewer numbers
        rope = ropelab.Rope(width, scaling=DynamicNTK(2.0), max_position_embeddings=64)
        expected = rotated(tensors, ids, rope.spectrum(2**21 + 1))
        for axis in (0, 1):
            positions = distribute_tensor(ids, mesh, [Shard(axis)])
            spectrum = spectrum_for(rope, positions)
            assert isinstance(spectrum, SpectrumText)
            assert spectrum.numbers is not None
            same(rotated(spread(tensors, mesh, Shard(axis)), positions, spectrum), expected)


def positions_may_be_counted(mesh: Any) -> None:
    for tensor_format, counted, axis in (
        *(("bshd", Consecutive(70_001), 1), ("sbhd", Consecutive([4, 9, 77_777]), 0)),
        *(("thd", Packed([0, 4, 4, 9]), 0), ("bshd", Consecutive(5), 2)),
    ):
        tensors, _ = inputs(mesh, tensor_format)
        given = spread(tensors, mesh, Shard(axis))
        with silence():
            found = rotated(given, counted, tensor_format=tensor_format)
        ids = torch.from_numpy(counted.ids(tokens(tensors[0], tensor_format))).to(mesh.device_type)
        same(found, rotated(tensors, ids, tensor_format=tensor_format))
    pack = Packed([0, 8], cp_size=2, cp_rank=mesh.get_rank())
    q, k = spread([x[:8] for x in inputs(mesh, "thd")[0][:2]], mesh, Shard(0))
    with pytest.raises(ValueError, match=r"whole sequences, since q is a DTensor; got cp_size=2"):
        apply_rotary(q, k, pack, SPECTRUM, tensor_format="thd")


def tokens(x: torch.Tensor, tensor_format: str) -> tuple[int, ...]:
    return tuple(x.shape[tensor_format.index(i)] for i in "bst" if i in tensor_format)


def a_result_may_be_unused(mesh: Any) -> None:
    (q, k, grad, _), ids = inputs(mesh, "bshd")
    expected = rotated([q, k, grad, torch.zeros_like(k)], ids)[2:]
    for axis in (1, 2):
        q_given, k_given, q_grad = spread([q, k, grad], mesh, Shard(axis))
        positions = distribute_tensor(ids, mesh, [Shard(1) if axis == 1 else Replicate()])
        leaves = q_given.requires_grad_(), k_given.requires_grad_()
        made, _ = apply_rotary(*leaves, positions, SPECTRUM)
        same(torch.autograd.grad(made, leaves, q_grad), expected)


def graphs_hold_shards(mesh: Any) -> None:
    tensors, ids = inputs(mesh, "bshd")
    given, positions = spread(tensors, mesh, Shard(1)), distribute_tensor(ids, mesh, [Shard(1)])
    q, k = (x.requires_grad_() for x in given[:2])
    compiled = torch.compile(
        lambda q, k, ids: apply_rotary(q, k, ids, SPECTRUM), backend="aot_eager", fullgraph=True
    )
    made = compiled(q, k, positions)
    found = (*(x.detach() for x in made), *torch.autograd.grad(made, (q, k), given[2:]))
    same(found, rotated(tensors, ids))


CHECKS: dict[str, Callable[[Any], None]] = {
    **{
        f"{tensor_format} by {letter}": partial(
            shards_rotate_where_they_lie, tensor_format=tensor_format, letter=letter
        )
        for tensor_format in PLACES
        for letter in tensor_format[:-1]
    },
    **{
        check.__name__.replace("_", " "): check
        for check in (
            positions_may_broadcast,
            keys_of_one_head_stay_whole,
            meshes_may_have_two_dimensions,
            a_sum_comes_before_its_rotation,
            a_rule_is_asked_anew_where_axes_mean_something_else,
            position_axes_are_no_tokens,
            shards_are_overwritten_in_place,
            tables_are_sharded_with_their_tokens,
            a_length_is_that_of_all_tokens,
            positions_may_be_counted,
            a_result_may_be_unused,
            graphs_hold_shards,
        )
    },
}
