"""Rotations of other libraries, of those that can be imported here.

A library is asked for its kernel alone: where a file holds it without needing the rest of the
package, that file is loaded by itself, since a package's door may want a whole model zoo.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .inputs import Inputs, Pair

__all__ = ["Peer", "third_party"]


class Peer(NamedTuple):
    """Somebody else's rotation of q and k.

    Parameters
    ----------
    name : str
        For the table.
    layouts : tuple of str
        Which it knows.
    rotate : callable
        Of inputs, a pair, a layout and whether to go backward; returns the rotated q and k.
    backward : bool
        Whether it can go backward.
    """

    name: str
    layouts: tuple[str, ...]
    rotate: Callable[[Inputs, Pair, str, bool], Any]
    backward: bool = False


BOTH = ("half", "interleaved")


def third_party() -> list[Peer]:
    """Return the peers that are installed.

    Returns
    -------
    list of Peer
        Liger, flash-attention's Triton kernel, FlashInfer, vLLM and SGLang, as far as they import.
    """
    found = []
    for make in (_liger, _flash_attention, _flashinfer, _vllm, _sglang):
        try:
            found += list(make())
        except Exception as error:  # whatever is wrong with another's package
            if not isinstance(error, ModuleNotFoundError):
                print(f"{make.__name__[1:]} does not import: {type(error).__name__}: {error}")
    return found


@cache
def _module(package: str, path: str) -> ModuleType:
    """Load one file of a package, without the package."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(package)
    file = Path(next(iter(found.submodule_search_locations))) / path
    spec = importlib.util.spec_from_file_location(f"{package}_{file.stem}_alone", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _liger() -> Iterator[Peer]:
    rope = _module("liger_kernel", "ops/rope.py")

    def rotate(inputs: Inputs, pair: Pair, layout: str, backward: bool) -> Any:
        """Rotate in place; Liger wants the transposed views."""
        turn = rope.rope_backward if backward else rope.LigerRopeFunction.apply
        q, k = pair.q.transpose(1, 2), pair.k.transpose(1, 2)
        rotated = turn(q, k, *inputs.tables[layout])
        return rotated[0].transpose(1, 2), rotated[1].transpose(1, 2)

    yield Peer("Liger, in place", ("half",), rotate, backward=True)


def _flash_attention() -> Iterator[Peer]:
    rotary = _module("flash_attn", "ops/triton/rotary.py")

    def rotate_to(in_place: bool) -> Callable[[Inputs, Pair, str, bool], Any]:
        def rotate(inputs: Inputs, pair: Pair, layout: str, backward: bool) -> Any:
            """Rotate q and k by a launch each; a row of the table for each position that occurs."""
            cos, sin = inputs.half_tables
            options: dict[str, Any] = {"inplace": in_place, "conjugate": backward}
            options["interleaved"] = layout == "interleaved"
            if inputs.workload.sequence == 1:
                options["seqlen_offsets"] = inputs.rows
            return [rotary.apply_rotary(x, cos, sin, **options) for x in (pair.q, pair.k)]

        return rotate

    yield Peer("flash-attention, Triton", BOTH, rotate_to(in_place=False), backward=True)
    yield Peer("flash-attention, Triton, in place", BOTH, rotate_to(in_place=True), backward=True)


def _by_cache(apply: Callable[..., Any], *, own_dtype: bool) -> Callable[..., Any]:
    """Return the call that FlashInfer, vLLM and SGLang share: in place, by a table of positions."""

    def rotate(inputs: Inputs, pair: Pair, layout: str, _: bool) -> Any:
        q, k = (x.view(-1, x.shape[-2] * x.shape[-1]) for x in (pair.q, pair.k))
        table = inputs.cache_in(pair.q.dtype) if own_dtype else inputs.cache
        head_dim = inputs.workload.head_dim
        apply(inputs.positions_of_tokens, q, k, head_dim, table, layout == "half")
        return pair.q, pair.k

    return rotate


def _flashinfer() -> Iterator[Peer]:
    rope = importlib.import_module("flashinfer.rope")
    apply = rope.apply_rope_with_cos_sin_cache_inplace
    yield Peer("FlashInfer, in place", BOTH, _by_cache(apply, own_dtype=False))


def _vllm() -> Iterator[Peer]:
    apply = importlib.import_module("vllm._custom_ops").rotary_embedding
    yield Peer("vLLM, in place", BOTH, _by_cache(apply, own_dtype=True))


def _sglang() -> Iterator[Peer]:
    try:
        module = importlib.import_module("sglang.jit_kernel.rope")
    except ImportError:
        module = importlib.import_module("sgl_kernel")
    apply = module.apply_rope_with_cos_sin_cache_inplace
    yield Peer("SGLang, in place", BOTH, _by_cache(apply, own_dtype=False))
