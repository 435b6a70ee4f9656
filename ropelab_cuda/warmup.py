"""Compile and load ahead of the first call: the kernels that a model will need."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ropelab import Rope
from ropelab.checks import ANGLES, TENSOR_FORMATS, check_choice, check_flag, check_rope, integer
from ropelab.checks import positive_int as positive
from ropelab.pairs import Placement

from ._cupy import require_cupy
from .compile import Specialisation, architecture, compiled, cubin_name, function
from .cubins import add_folder, store_cubin
from .device_spectrum import AnySpectrum, DeviceSpectrum
from .launch import FORMATS, OUTPUT_FORMATS, Plan
from .launch_lengths import plan_length_spectrum
from .launch_rotary import plan_rotary, plan_rotary_cached
from .length_rules import has_device_function
from .lengths import spectrum_to_plan
from .parameters import INTEGER_TYPES
from .views import View
from .work import Operand

__all__ = ["save_cubins", "specialisations_of", "warmup"]

# How threads share the work depends on the number of tokens while they are few, and on the length
# of the inner axis while it is short.
SHORT = range(1, 64)
LENGTHS = (*SHORT, *(2**power for power in range(6, 18)))
TOKENS = (
    *((batch, length) for batch in (1, 2) for length in LENGTHS),
    *(pair for short in SHORT for pair in ((short, 2048), (2048, short))),
)


def specialisations_of(
    rope: Rope,
    *,
    q_heads: int,
    k_heads: int = 0,
    dtype: str = "bfloat16",
    tensor_format: str = "bshd",
    angles: str = "exact",
    in_place: bool = False,
    table_dtype: str | None = None,
    position_dtype: str = "int64",
    output_dtype: str | None = None,
    scaled: bool = False,
    tokens: Sequence[tuple[int, int]] = TOKENS,
) -> tuple[Specialisation, ...]:
    """Return the kernels that a model's calls will need, planned for tensors that do not exist.

    Parameters
    ----------
    rope : ropelab.Rope
        The model's rotary embedding.
    q_heads : int
        Heads of the queries.
    k_heads : int, default 0
        Heads of the keys, rotated in the same launch; 0 if there are none.
    dtype : {"bfloat16", "float16", "float32", "float64"}, default "bfloat16"
        Of queries and keys.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        As in `apply_rotary`.
    angles : {"exact", "float32"}, default "exact"
        As in `apply_rotary`.
    in_place : bool, default False
        Whether the rotations replace the tensors; channels that pass through are then left alone.
    table_dtype : str, optional
        Rotate by given cosines and sines of this dtype, as `apply_rotary_cached` does.
    position_dtype : str, default "int64"
        Of the position ids: any integer dtype that is taken.
    output_dtype : str, optional
        Of the results, float8 formats included; by default `dtype`.
    scaled : bool, default False
        Whether results are divided by a scale, a number or a tensor.
    tokens : sequence of (int, int), optional
        Batches and sequences; by default all that make a difference.

    Returns
    -------
    tuple of Specialisation
        Without repetition. Tensors are taken to be compact and aligned to 16 bytes.

    Raises
    ------
    TypeError
        If `rope` is no Rope, or a number no integer.
    ValueError
        If an option is unknown, or a number not positive.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> {kernel.kernel for kernel in specialisations_of(rope, q_heads=32, k_heads=8)}
    {'rotary'}
    """
    check_rope(rope)
    check_choice(dtype, FORMATS, "dtype")
    check_choice(tensor_format, TENSOR_FORMATS, "tensor_format")
    check_choice(angles, ANGLES, "angles")
    check_flag(in_place, "in_place")
    heads = [positive(q_heads, "q_heads")]
    if integer(k_heads, "k_heads"):
        heads.append(positive(k_heads, "k_heads"))
    if table_dtype is not None:
        check_choice(table_dtype, FORMATS, "table_dtype")
    check_choice(position_dtype, INTEGER_TYPES, "position_dtype")
    target = dtype if output_dtype is None else output_dtype
    check_choice(target, OUTPUT_FORMATS, "output_dtype")
    check_flag(scaled, "scaled")
    if in_place and (scaled or target != dtype):
        msg = "in_place: expected False with an output_dtype or a scale; got True; omit one of them"
        raise ValueError(msg)
    scales = [1.0] * len(heads) if scaled else []
    length = rope.max_position_embeddings if rope.scaling.depends_on_length else None
    spectra: list[AnySpectrum] = [rope.spectrum(length)]
    if rope.scaling.depends_on_length and has_device_function(rope.scaling):
        spectra.append(spectrum_to_plan(rope))  # what `rotate` has without a seq_len
    place = Placement(tensor_format, rope.layout, rope.output_layout, rope.rotary_offset)
    found: dict[Specialisation, None] = {}
    for batch, sequence in tokens:
        sizes = {"b": positive(batch, "tokens"), "s": positive(sequence, "tokens")}
        sizes |= {"t": batch * sequence, "d": rope.head_dim}
        operands = [
            (x, x if in_place else _compact(x.shape, target, 1 << 40))
            for x in (
                _compact(tuple({**sizes, "h": h}[axis] for axis in tensor_format), dtype, 1 << 20)
                for h in heads
            )
        ]
        shapes = ((batch * sequence,),) if tensor_format == "thd" else _rows(batch, sequence)
        for shape in shapes:
            if table_dtype is None:
                positions = _positions(shape, spectra[0].position_axes, position_dtype)
                plans = list(_plans(operands, positions, spectra, place, angles, scales))
            else:
                table = _compact((*shape, rope.rotary_dim // 2), table_dtype, 1 << 30)
                plans = [plan_rotary_cached(operands, table, table, place=place, scales=scales)]
            found |= {plan.specialisation: None for plan in plans}
    return tuple(found)


def _rows(batch: int, sequence: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes that positions of these tokens come in."""
    yield batch, sequence
    if batch > 1:
        yield (sequence,)


def _plans(
    operands: Sequence[Operand],
    positions: View,
    spectra: Sequence[AnySpectrum],
    place: Placement,
    angles: str,
    scales: Sequence[float],
) -> Iterator[Plan]:
    """Yield what a call by positions launches."""
    for spectrum in spectra:
        if isinstance(spectrum, DeviceSpectrum):
            yield from plan_length_spectrum(positions, spectrum.rule, spectrum.view)
        yield plan_rotary(operands, positions, spectrum, place=place, angles=angles, scales=scales)


def _positions(shape: tuple[int, ...], axes: int, dtype: str) -> View:
    return _compact((axes, *shape) if axes > 1 else shape, dtype, 1 << 30)


def _compact(shape: tuple[int, ...], dtype: str, pointer: int) -> View:
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)


def warmup(
    rope: Rope, *, cubins: str | os.PathLike[str] | None = None, **wanted: Any
) -> tuple[Specialisation, ...]:
    """Compile and load a model's kernels on the current device, so that its first call is fast.

    Parameters
    ----------
    rope : ropelab.Rope
        The model's rotary embedding.
    cubins : path-like, optional
        A folder that `save_cubins` wrote: what it holds is loaded, the rest compiled. The
        environment variable ``ROPELAB_CUBINS`` does the same for every call.
    **wanted
        Heads, dtypes and options, as in `specialisations_of`.

    Returns
    -------
    tuple of Specialisation
        What is loaded.

    Raises
    ------
    TypeError
        As in `specialisations_of`.
    ValueError
        As in `specialisations_of`; or if `cubins` is no folder.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> loaded = warmup(rope, q_heads=32, k_heads=8)  # doctest: +SKIP
    """
    found = specialisations_of(rope, **wanted)
    if cubins is not None:
        add_folder(cubins)
    for one in found:
        function(one)
    return found


def save_cubins(
    folder: str | os.PathLike[str],
    rope: Rope,
    *,
    architectures: Sequence[str] | None = None,
    **wanted: Any,
) -> list[Path]:
    """Compile a model's kernels into a folder, to be shipped with a program.

    A machine that has them needs neither the compiler nor a cache. Name the folder there in the
    environment variable ``ROPELAB_CUBINS``, or pass it to `warmup`. A cubin of another version of
    this package is never loaded: its name differs.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist.
    rope : ropelab.Rope
        The model's rotary embedding.
    architectures : sequence of str, optional
        For which cards: "90" is Hopper. Given, no GPU is needed; by default the current one's.
    **wanted
        Heads, dtypes and options, as in `specialisations_of`.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    TypeError
        As in `specialisations_of`; or if `architectures` is a string.
    ValueError
        As in `specialisations_of`.
    RuntimeError
        If a kernel does not compile, for an unknown architecture for instance.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> files = save_cubins("cubins", rope, q_heads=32, architectures=["90"])  # doctest: +SKIP
    """
    if isinstance(architectures, str):
        msg = (
            f"architectures: expected a sequence of names; got {architectures!r}; put it in a list"
        )
        raise TypeError(msg)
    if architectures is None:
        architectures = [architecture(require_cupy().cuda.runtime.getDevice())]
    return [
        store_cubin(Path(folder), cubin_name(one, card), compiled(one, card)[0])
        for card in architectures
        for one in specialisations_of(rope, **wanted)
    ]
