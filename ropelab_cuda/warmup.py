"""Compile and load ahead of the first call: the kernels that a model will need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ropelab import Rope
from ropelab.checks import check_choice

from ._cupy import require_cupy
from .compile import Specialisation, compiled, cubin_name
from .cubins import add_folder
from .foreseen import TOKENS, Foreseen
from .foreseen_calls import CALLS
from .loading import architecture, function
from .stored_cubins import store_cubin

__all__ = ["save_cubins", "specialisations_of", "warmup"]


def specialisations_of(
    rope: Rope,
    call: str = "rotary",
    *,
    q_heads: int,
    k_heads: int = 0,
    dtype: str = "bfloat16",
    tensor_format: str = "bshd",
    angles: str = "exact",
    in_place: bool = False,
    position_dtype: str = "int64",
    tokens: Sequence[tuple[int, int]] = TOKENS,
    **options: Any,
) -> tuple[Specialisation, ...]:
    """Return the kernels that a model's calls will need, planned for tensors that do not exist.

    Parameters
    ----------
    rope : ropelab.Rope
        The model's rotary embedding.
    call : str, default "rotary"
        What is called: ``"rotary"`` for `apply_rotary` and its kin, `rotate` among them; ``"xpos"``
        for `apply_xpos_qk`; ``"norm_rotary"`` for `apply_norm_rotary_qk`; ``"kv_cache"`` for
        `apply_rotary_kv_cache`; ``"to_half"`` or ``"to_interleaved"``.
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
        Whether the results replace the tensors; channels that pass through are then left alone.
    position_dtype : str, default "int64"
        Of the position ids: any integer dtype that is taken.
    tokens : sequence of (int, int), optional
        Batches and sequences; by default all that make a difference.
    **options
        Of that kind of call alone; what they mean stands with the function of its name in
        `foreseen_calls`. ``"rotary"``, ``"xpos"`` and ``"norm_rotary"`` have `output_dtype` and
        `scaled`; ``"rotary"`` has `table_dtype` besides, ``"norm_rotary"`` `weight_dtype`,
        `weighted` and `across_heads`; ``"kv_cache"`` has `cache_dtype`, `scaled`, `slot_dtype` and
        `v_head_dim`.

    Returns
    -------
    tuple of Specialisation
        Without repetition. Tensors are taken to be compact and aligned to 16 bytes.

    Raises
    ------
    TypeError
        If `rope` is no Rope, a number no integer, or an option not one of the call's.
    ValueError
        If an option is unknown, a number not positive, or the call cannot do what the rope asks.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> {kernel.kernel for kernel in specialisations_of(rope, q_heads=32, k_heads=8)}
    {'rotary'}
    >>> heads = {"q_heads": 32, "k_heads": 8}
    >>> kernels = specialisations_of(rope, "kv_cache", cache_dtype="float8_e4m3fn", **heads)
    >>> {kernel.kernel for kernel in kernels}
    {'rotary_kv_cache'}
    """
    check_choice(call, CALLS, "call")
    foreseen = Foreseen(
        rope,
        q_heads,
        k_heads,
        dtype=dtype,
        tensor_format=tensor_format,
        angles=angles,
        in_place=in_place,
        position_dtype=position_dtype,
        tokens=tokens,
    )
    plans = CALLS[call](foreseen, **options)
    return tuple(dict.fromkeys(plan.specialisation for plan in plans))


def warmup(
    rope: Rope,
    call: str = "rotary",
    *,
    cubins: str | os.PathLike[str] | None = None,
    **wanted: Any,
) -> tuple[Specialisation, ...]:
    """Compile and load a model's kernels on the current device, so that its first call is fast.

    Parameters
    ----------
    rope : ropelab.Rope
        The model's rotary embedding.
    call : str, default "rotary"
        What is called, as in `specialisations_of`; of several kinds, warm one after the other.
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
    RuntimeError
        If a kernel does not compile, or a cubin that was shipped is broken.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> loaded = warmup(rope, q_heads=32, k_heads=8)  # doctest: +SKIP
    >>> loaded = warmup(rope, "norm_rotary", q_heads=32, k_heads=8)  # doctest: +SKIP
    """
    found = specialisations_of(rope, call, **wanted)
    if cubins is not None:
        add_folder(cubins)
    for one in found:
        function(one)
    return found


def save_cubins(
    folder: str | os.PathLike[str],
    rope: Rope,
    call: str = "rotary",
    *,
    architectures: Sequence[str] | None = None,
    **wanted: Any,
) -> list[Path]:
    """Compile a model's kernels into a folder, to be shipped with a program.

    A machine that has them needs neither the compiler nor a cache. Name the folder there in the
    environment variable ``ROPELAB_CUBINS``, or pass it to `warmup`. A cubin of another version of
    this package is never loaded: its name differs. A file that has changed since is refused.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist.
    rope : ropelab.Rope
        The model's rotary embedding.
    call : str, default "rotary"
        As in `warmup`; several kinds may go to one folder.
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
    found = specialisations_of(rope, call, **wanted)
    return [
        store_cubin(Path(folder), cubin_name(one, card), compiled(one, card)[0])
        for card in architectures
        for one in found
    ]
