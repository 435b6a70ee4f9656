"""Other ways to rotate, and what is fused with it: each ours, torch's, and as it is specified."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ropelab
import ropelab_cuda
from ropelab.xpos import xpos_scale

from ..views import ITEM_BYTES
from . import peers
from .candidates import ROUNDED_ONCE
from .inputs import Inputs, Pair
from .workloads import LAST_POSITION, Workload

if TYPE_CHECKING:
    import torch

__all__ = ["Neighbour", "moved_bytes", "neighbours"]

EPS = 1e-6
CENTRE = LAST_POSITION - 2048  # so that no decay leaves the range of bfloat16
BLOCK_SIZE = 16  # rows of a block of a paged cache
NORMED = ROUNDED_ONCE + 1e-4  # a few eps of float32 before

Both = tuple[Any, Any]


@dataclass(frozen=True)
class Neighbour:
    """One operation.

    Parameters
    ----------
    name : str
        For the table.
    ours, peer : callable
        From the number of a set to the result; torch.compile made the second.
    specified : callable
        From q, k and positions of some tokens to what both are to be.
    tolerance : float, default ROUNDED_ONCE
        What ours may err, in eps.
    with_values : bool, default False
        Whether values are moved beside queries and keys.
    read : callable, optional
        From a result to the rotated q and k; by default it is these.
    """

    name: str
    ours: Callable[[int], Any]
    peer: Callable[[int], Any]
    specified: Callable[[Any, Any, Any], Both]
    tolerance: float = ROUNDED_ONCE
    with_values: bool = False
    read: Callable[[Any], Both] | None = None


def neighbours(inputs: Inputs) -> Iterator[Neighbour]:
    """Yield all of them, for queries and keys in the half layout.

    Parameters
    ----------
    inputs : Inputs
        What is rotated.

    Yields
    ------
    Neighbour
        One after another, since each holds memory.
    """
    yield from _tables(inputs)
    yield from _normed(inputs)
    yield _decayed(inputs)
    yield _cached(inputs)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    return torch.compile(function, fullgraph=True, dynamic=False)


def _of_pairs(inputs: Inputs, call: Callable[..., Both], *given: Any) -> Callable[[int], Both]:
    def of_set(number: int) -> Both:
        pair: Pair = inputs.sets[number]
        return call(pair.q, pair.k, *given)

    return of_set


def _tables(inputs: Inputs) -> Iterator[Neighbour]:
    """Rotate by given cosines and sines: a row a token, and rows named by positions."""
    ids, spectrum = inputs.position_ids, inputs.spectrum
    every = _every_position(inputs)
    rows = [table[ids] for table in every]
    rotate = ropelab_cuda.apply_rotary_cached_qk
    formula = peers.formula("half")
    wide = inputs.tables["half"]
    every_wide = [table.to(inputs.sets[0].q.dtype).repeat(1, 2) for table in every]

    def looked_up(q: Any, k: Any, cos: Any, sin: Any, ids: Any) -> Both:
        return formula(q, k, cos[ids], sin[ids])

    specified = partial(_rotated, spectrum)
    yield Neighbour(
        "given tables, float32",
        _of_pairs(inputs, rotate, *rows),
        _of_pairs(inputs, _compiled(formula), *wide),
        specified,
    )
    yield Neighbour(
        "given tables, a row a position",
        # Clamped, for otherwise the host would look whether every position has a row.
        _of_pairs(inputs, partial(rotate, position_ids=ids, overrun="clamp"), *every),
        _of_pairs(inputs, _compiled(looked_up), *every_wide, ids),
        specified,
    )


def _every_position(inputs: Inputs) -> list[torch.Tensor]:
    """Return exact cosines and sines of all positions, float32, a value a pair."""
    import torch

    every = torch.arange(LAST_POSITION + 1, device=inputs.position_ids.device)
    return list(ropelab_cuda.cos_sin(every, inputs.spectrum))


def _rotated(spectrum: ropelab.Spectrum, q: Any, k: Any, ids: Any) -> Both:
    return ropelab.apply_rotary_qk(q, k, ids, spectrum, tensor_format="thd")


def _normed(inputs: Inputs) -> Iterator[Neighbour]:
    """Norm by the root mean square, each head as in Qwen 3, or all together as in OLMo 2."""
    import torch

    formula, ids, spectrum = peers.formula("half"), inputs.position_ids, inputs.spectrum
    pair = inputs.sets[0]
    for across in (False, True):
        shapes = [x.shape[2:] if across else x.shape[3:] for x in (pair.q, pair.k)]
        weights = [torch.rand(s, dtype=pair.q.dtype, device=pair.q.device) + 0.5 for s in shapes]
        axes = (-2, -1) if across else (-1,)

        def normed(x: Any, weight: Any, axes: tuple[int, ...] = axes) -> Any:
            wide = x.float()
            factor = torch.rsqrt(wide.square().mean(axes, keepdim=True) + EPS)
            return (wide * factor).to(x.dtype) * weight

        def both(
            q: Any, k: Any, of_q: Any, of_k: Any, cos: Any, sin: Any, normed: Any = normed
        ) -> Both:
            return formula(normed(q, of_q), normed(k, of_k), cos, sin)

        numbers = [weight.double().cpu().numpy() for weight in weights]
        options: dict[str, Any] = {"eps": EPS, "across_heads": across}

        def specified(
            q: Any, k: Any, ids: Any, numbers: Any = numbers, options: Any = options
        ) -> Both:
            of_q, of_k = numbers
            return ropelab.apply_norm_rotary_qk(
                q, k, of_q, of_k, ids, spectrum, tensor_format="thd", **options
            )

        ours = partial(ropelab_cuda.apply_norm_rotary_qk, **options)
        yield Neighbour(
            f"norm {'across heads' if across else 'of each head'}, then rotation",
            _of_pairs(inputs, ours, *weights, ids, spectrum),
            _of_pairs(inputs, _compiled(both), *weights, *inputs.tables["half"]),
            specified,
            NORMED,
        )


def _decayed(inputs: Inputs) -> Neighbour:
    """XPos: a rotation, and a decay; torch is given both in one table."""
    import torch

    ids, spectrum, formula = inputs.position_ids, inputs.spectrum, peers.formula("half")
    scale = torch.tensor(xpos_scale(ids.cpu().numpy(), inputs.workload.width, centre=CENTRE))
    wide = scale.repeat(1, 1, 2).to(ids.device)
    cos, sin = (table.double() for table in inputs.tables["half"])
    dtype = inputs.sets[0].q.dtype
    of_q, of_k = ([(t * f).to(dtype) for t in (cos, sin)] for f in (wide, 1.0 / wide))

    def both(q: Any, k: Any, q_cos: Any, q_sin: Any, k_cos: Any, k_sin: Any) -> Both:
        return formula(q, q, q_cos, q_sin)[0], formula(k, k, k_cos, k_sin)[0]

    def specified(q: Any, k: Any, ids: Any) -> Both:
        return ropelab.apply_xpos_qk(q, k, ids, spectrum, centre=CENTRE, tensor_format="thd")

    ours = partial(ropelab_cuda.apply_xpos_qk, centre=CENTRE)
    return Neighbour(
        "xPos",
        _of_pairs(inputs, ours, ids, spectrum),
        _of_pairs(inputs, _compiled(both), *of_q, *of_k),
        specified,
    )


def _cached(inputs: Inputs) -> Neighbour:
    """Rotate; keys and values go to shuffled blocks of paged caches."""
    import torch

    workload, pair = inputs.workload, inputs.sets[0]
    values = [torch.randn_like(each.k) for each in inputs.sets]
    blocks = workload.batch * workload.sequence // BLOCK_SIZE
    starts = torch.randperm(blocks, device=pair.q.device)[:, None] * BLOCK_SIZE
    slots = (starts + torch.arange(BLOCK_SIZE, device=pair.q.device)).view(pair.q.shape[:2])
    shape = (blocks, BLOCK_SIZE, *pair.k.shape[2:])
    k_cache, v_cache = (pair.k.new_empty(shape) for _ in range(2))
    formula, spectrum, ids = peers.formula("half"), inputs.spectrum, inputs.position_ids

    def ours(number: int) -> Any:
        _, q, k = inputs.sets[number]
        caches = k_cache, v_cache, slots
        return ropelab_cuda.apply_rotary_kv_cache(q, k, values[number], ids, spectrum, *caches)

    def into(q: Any, k: Any, v: Any, tables: Any, k_rows: Any, v_rows: Any, rows: Any) -> Any:
        q_out, k_out = formula(q, k, *tables)
        k_rows[rows] = k_out.flatten(0, 1)
        v_rows[rows] = v.flatten(0, 1)
        return q_out

    compiled = _compiled(into)
    into_rows = k_cache.flatten(0, 1), v_cache.flatten(0, 1), slots.view(-1)

    def peer(number: int) -> Any:
        _, q, k = inputs.sets[number]
        return compiled(q, k, values[number], inputs.tables["half"], *into_rows)

    return Neighbour(
        "rotation into paged caches",
        ours,
        peer,
        partial(_rotated, spectrum),
        with_values=True,
        read=lambda q: (q, k_cache.flatten(0, 1)[slots]),
    )


def moved_bytes(workload: Workload, neighbour: Neighbour) -> int:
    """Return the bytes that must move, each element in and out once.

    Parameters
    ----------
    workload : Workload
        Shapes of queries and keys; values have that of keys.
    neighbour : Neighbour
        What is done with them.

    Returns
    -------
    int
        Bytes.
    """
    values = math.prod(workload.shapes[1]) if neighbour.with_values else 0
    return workload.moved_bytes + 2 * values * ITEM_BYTES[workload.dtype]
