"""The operations that stand in a chain: each reads what the kernel before it has just written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import ropelab_cuda
from tests.gpu.chain import Kind, Tensors

__all__ = ["CHAINED", "FEW", "ROTARY", "Chained"]

FEW = (7, 4, 2)  # tokens, heads of q and of k
MANY = (2048, 2, 1)


class Chained(NamedTuple):
    """An operation.

    Parameters
    ----------
    kind : Kind
        What it does to a chain's tensors.
    call_of : callable
        From a chain to what calls the operation on its tensors, as often as wanted.
    guesses : bool
        Whether its kernel reads positions before its predecessors are done.
    shape : tuple of int
        Tokens and heads, where tokens are many.
    """

    kind: Kind
    call_of: Callable[[Tensors, Kind], Callable[[], Any]]
    guesses: bool = True
    shape: tuple[int, int, int] = MANY


def _on_both(name: str, *, where: str = "ids") -> Callable[[Tensors, Kind], Callable[[], Any]]:
    """Return how to call an operation on queries and keys, with further options."""

    def call_of(chain: Tensors, kind: Kind) -> Callable[[], Any]:
        given: tuple[Any, ...] = (chain.ids, kind.spectrum())
        options: dict[str, Any] = {"layout": kind.layout, "tensor_format": "thd"}
        if where == "rows":
            given = _tables(chain, kind)
            options |= {"position_ids": chain.ids, "overrun": "clamp"}
        elif where == "norm":
            given = (None, None, *given)
            options["eps"] = 0.0
        elif where == "decay":
            options["scale_base"] = 1e15  # so slow that no product rounds to another number
        if not chain.in_place:
            options["out"] = chain.out
        function = getattr(ropelab_cuda, name + "_" * chain.in_place)
        return lambda: function(chain.q, chain.k, *given, **options)

    return call_of


def _tables(chain: Tensors, kind: Kind) -> tuple[Any, Any]:
    import torch

    ids = torch.arange(kind.positions, device=chain.ids.device)
    cos, sin = ropelab_cuda.cos_sin(ids, kind.spectrum(), dtype="bfloat16")
    return cos, sin


def _into_caches(chain: Tensors, kind: Kind) -> Callable[[], Any]:
    caches = [cache.unsqueeze(1) for cache in chain.caches]  # blocks of one row
    given = (chain.q, chain.k, chain.v, chain.ids, kind.spectrum(), *caches, chain.slots)
    options: dict[str, Any] = {"tensor_format": "thd"}
    if chain.in_place:
        return lambda: ropelab_cuda.apply_rotary_kv_cache_(*given, **options)
    return lambda: ropelab_cuda.apply_rotary_kv_cache(*given, **options, out=chain.out[0])


def _permuted(chain: Tensors, kind: Kind) -> Callable[[], Any]:
    del kind
    if chain.in_place:
        return lambda: [ropelab_cuda.to_interleaved_(x) for x in (chain.q, chain.k)]
    pairs = tuple(zip((chain.q, chain.k), chain.out, strict=True))
    return lambda: [ropelab_cuda.to_interleaved(x, out=out) for x, out in pairs]


ROTARY = Chained(Kind(), _on_both("apply_rotary_qk"))
CHAINED = {
    "interleaved": Chained(
        Kind(layout="interleaved", output_layout="interleaved"), _on_both("apply_rotary_qk")
    ),
    "tails": Chained(Kind(rotary_dim=64), _on_both("apply_rotary_qk")),
    # So many heads that most late blocks are not resident at once: they load first.
    "pieces": Chained(
        Kind(head_dim=96, rotary_dim=24), _on_both("apply_rotary_qk"), shape=(4096, 16, 16)
    ),
    "rows of tables": Chained(
        Kind(positions=1024), _on_both("apply_rotary_cached_qk", where="rows"), guesses=False
    ),
    "norm": Chained(Kind(normed=True), _on_both("apply_norm_rotary_qk", where="norm")),
    "decay": Chained(Kind(), _on_both("apply_xpos_qk", where="decay")),
    "caches": Chained(Kind(cached=True), _into_caches),
    "permutation": Chained(
        Kind(turns=False, output_layout="interleaved"), _permuted, guesses=False
    ),
}
