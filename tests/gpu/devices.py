"""NumPy arrays to tensors on a GPU and back, and an Implementation made of ropelab_cuda.

Every result is read from memory that was poisoned first, between guards that must survive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np

import ropelab_cuda
from ropelab.golden import SPECIFICATION, Implementation
from ropelab.golden.case import Array
from ropelab.positions import Consecutive, Packed
from ropelab.precision import RAW, format_name, stored_dtype

__all__ = ["CuPy", "Framework", "Torch", "implementation", "put_argument"]

GUARD = 64  # elements on either side of an output
POISON = 0xA5
_BITS = {1: np.uint8, 2: np.int16}  # what travels in place of so many bytes


class Framework(Protocol):
    """How one framework holds tensors."""

    name: str

    def put(self, array: Array) -> Any:
        """Return a device tensor of an array."""

    def take(self, tensor: Any) -> Array:
        """Return the array of a device tensor."""


class Torch:
    """torch tensors; what NumPy has no numbers for travels as its bits."""

    name = "torch"

    def put(self, array: Array) -> Any:
        import torch

        name = format_name(array.dtype)
        if name in RAW:
            bits = torch.from_numpy(array.view(_BITS[array.itemsize]).copy())
            return bits.cuda().view(getattr(torch, name))
        return torch.from_numpy(np.ascontiguousarray(array)).cuda().reshape(array.shape)

    def take(self, tensor: Any) -> Array:
        import torch

        name = str(tensor.dtype).removeprefix("torch.")
        if name in RAW:
            integer = {1: torch.uint8, 2: torch.int16}[tensor.itemsize]
            bits: Array = tensor.view(integer).cpu().numpy()
            return bits.view(RAW[name])
        array: Array = tensor.cpu().numpy()
        return array


class CuPy:
    """CuPy arrays; what NumPy has no numbers for is ml_dtypes' there."""

    name = "cupy"

    def put(self, array: Array) -> Any:
        import cupy
        import ml_dtypes

        name = format_name(array.dtype)
        if name in RAW:
            bits = cupy.asarray(array.view(_BITS[array.itemsize]))
            return bits.view(getattr(ml_dtypes, name))
        return cupy.asarray(array)

    def take(self, tensor: Any) -> Array:
        import cupy

        name = tensor.dtype.name
        if name in RAW:
            bits: Array = cupy.asnumpy(tensor.view(_BITS[tensor.itemsize]))
            return bits.view(RAW[name])
        array: Array = cupy.asnumpy(tensor)
        return array


class _Guarded:
    """A poisoned output, or memory with something in it, between two guards."""

    def __init__(
        self, framework: Framework, like: Array, dtype: np.dtype[Any], *, filled: bool = False
    ) -> None:
        count = like.size + 2 * GUARD
        poison = np.full(count * dtype.itemsize, POISON, np.uint8).view(dtype)
        if filled:
            poison[GUARD : GUARD + like.size] = like.reshape(-1)
        self.framework, self.size = framework, like.size
        self.whole = framework.put(poison)
        self.tensor = self.whole[GUARD : GUARD + like.size].reshape(like.shape)

    def take(self) -> Array:
        """Return the output, having made sure that nothing outside it was written."""
        raw = self.framework.take(self.whole).view(np.uint8).reshape(self.size + 2 * GUARD, -1)
        assert (raw[:GUARD] == POISON).all(), "written before the output"
        assert (raw[GUARD + self.size :] == POISON).all(), "written past the output"
        return self.framework.take(self.tensor)


def _in_order(array: Array) -> Array:
    """Return a cache with its axes in the order of memory."""
    swapped = array.ndim > 2 and array.strides[2] > array.strides[1]
    return array.swapaxes(1, 2) if swapped else array


def _strided(framework: Framework, array: Array) -> Any:
    """Return a view of a larger tensor: rows apart by an odd padding, first element offset."""
    if array.ndim < 2:
        return framework.put(array)
    wide = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    wide[..., 1:-2] = array
    return framework.put(wide)[..., 1:-2]


def put_argument(framework: Framework, given: Any) -> Any:
    """Return an argument with its arrays on the device; positions may hold some."""
    if isinstance(given, np.ndarray):
        return framework.put(given)
    if isinstance(given, (Consecutive, Packed)):
        held = {field.name: getattr(given, field.name) for field in fields(given)}
        return type(given)(**{name: put_argument(framework, value) for name, value in held.items()})
    return given


def implementation(framework: Framework, way: str) -> Implementation:
    """Return the kernels as an Implementation.

    Parameters
    ----------
    framework : Framework
        Whose tensors to pass.
    way : {"new", "out", "in place", "strided"}
        Where the results go, and how the inputs lie in memory. No dtype can be named in place, so
        results of another go out.

    Returns
    -------
    Implementation
        Rotations, permutations, phases and tables by ropelab_cuda; the rest is the specification's.
    """
    put: Callable[[Array], Any] = framework.put
    lay = (lambda array: _strided(framework, array)) if way == "strided" else put

    def rotated(
        name: str, tensors: tuple[Array, ...], given: tuple[Any, ...], **options: Any
    ) -> Any:
        inputs = tuple(lay(tensor) for tensor in tensors)
        rest = tuple(put_argument(framework, g) for g in given)
        options = {key: put_argument(framework, value) for key, value in options.items()}
        if way == "in place" and not options.keys() & {"dtype", "scale"}:
            answers = getattr(ropelab_cuda, f"{name}_")(*inputs, *rest, **options)
            same = answers if isinstance(answers, tuple) else (answers,)
            assert all(a is b for a, b in zip(same, inputs, strict=True))
            return tuple(framework.take(tensor) for tensor in inputs)
        if way in ("out", "in place"):
            asked = stored_dtype(options["dtype"]) if "dtype" in options else None
            dtypes = [tensor.dtype if asked is None else asked for tensor in tensors]
            outs = tuple(_Guarded(framework, *one) for one in zip(tensors, dtypes, strict=True))
            out = tuple(o.tensor for o in outs) if len(outs) > 1 else outs[0].tensor
            getattr(ropelab_cuda, name)(*inputs, *rest, **options, out=out)
            return tuple(o.take() for o in outs)
        answers = getattr(ropelab_cuda, name)(*inputs, *rest, **options)
        for tensor, before in zip(inputs, tensors, strict=True):
            assert framework.take(tensor).tobytes() == before.tobytes(), "an input was written"
        answers = answers if isinstance(answers, tuple) else (answers,)
        assert all(type(a) is type(inputs[0]) for a in answers)
        return tuple(framework.take(answer) for answer in answers)

    def apply_rotary(x: Array, *given: Any, **options: Any) -> Array:
        return rotated("apply_rotary", (x,), given, **options)[0]  # type: ignore[no-any-return]

    def apply_rotary_qk(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
        return rotated("apply_rotary_qk", (q, k), given, **options)  # type: ignore[no-any-return]

    def apply_norm_rotary_qk(q: Array, k: Array, *given: Any, **options: Any) -> Any:
        return rotated("apply_norm_rotary_qk", (q, k), given, **options)

    def apply_rotary_cached(x: Array, *given: Any, **options: Any) -> Array:
        return rotated("apply_rotary_cached", (x,), given, **options)[0]  # type: ignore[no-any-return]

    def apply_rotary_cached_qk(q: Array, k: Array, *given: Any, **options: Any) -> Any:
        return rotated("apply_rotary_cached_qk", (q, k), given, **options)

    def apply_rotary_kv_cache(
        q: Array,
        k: Array,
        v: Array,
        ids: Any,
        spectrum: Any,
        k_cache: Array,
        v_cache: Array,
        slots: Array,
        **options: Any,
    ) -> Array:
        memories = [_in_order(cache) for cache in (k_cache, v_cache)]
        stores = [_Guarded(framework, memory, memory.dtype, filled=True) for memory in memories]
        views = [
            store.tensor if memory is cache else store.tensor.swapaxes(1, 2)
            for store, memory, cache in zip(stores, memories, (k_cache, v_cache), strict=True)
        ]
        given = (lay(k), lay(v), put_argument(framework, ids), spectrum, *views, put(slots))
        queries = lay(q)
        if way == "in place":
            answer = ropelab_cuda.apply_rotary_kv_cache_(queries, *given, **options)
            assert answer is queries
            rotated = framework.take(queries)
        elif way == "out":
            out = _Guarded(framework, q, q.dtype)
            ropelab_cuda.apply_rotary_kv_cache(queries, *given, **options, out=out.tensor)
            rotated = out.take()
        else:
            rotated = framework.take(ropelab_cuda.apply_rotary_kv_cache(queries, *given, **options))
        for store, memory in zip(stores, memories, strict=True):
            memory[...] = store.take()
        return rotated

    def apply_xpos_qk(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
        return rotated("apply_xpos_qk", (q, k), given, **options)  # type: ignore[no-any-return]

    def to_half(x: Array, *given: Any) -> Array:
        return rotated("to_half", (x,), given)[0]  # type: ignore[no-any-return]

    def to_interleaved(x: Array, *given: Any) -> Array:
        return rotated("to_interleaved", (x,), given)[0]  # type: ignore[no-any-return]

    def exact_phases(ids: Array, spectrum: Any) -> Array:
        return framework.take(ropelab_cuda.exact_phases(put(ids), spectrum))

    def cos_sin(ids: Array, spectrum: Any, *, angles: str, dtype: Any) -> tuple[Array, Array]:
        name = format_name(stored_dtype(dtype))
        cos, sin = ropelab_cuda.cos_sin(put(ids), spectrum, angles=angles, dtype=name)
        return framework.take(cos), framework.take(sin)

    return replace(
        SPECIFICATION,
        exact_phases=exact_phases,
        cos_sin=cos_sin,
        apply_rotary=apply_rotary,
        apply_rotary_qk=apply_rotary_qk,
        apply_rotary_cached=apply_rotary_cached,
        apply_rotary_cached_qk=apply_rotary_cached_qk,
        apply_rotary_kv_cache=apply_rotary_kv_cache,
        apply_xpos_qk=apply_xpos_qk,
        to_half=to_half,
        to_interleaved=to_interleaved,
        apply_norm_rotary_qk=apply_norm_rotary_qk,
    )
