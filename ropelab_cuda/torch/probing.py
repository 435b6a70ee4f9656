"""Whether a model rotates as its config says: its own code is asked, before it is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import Module

from ropelab import Rope
from ropelab.scaling import ExplicitFrequencies

from .turning import Turning

__all__ = ["agrees", "changed", "returns_pair", "with_own_frequencies"]

HEADS = (3, 2)
AXES = 3  # of M-RoPE
NEAR, FAR = 24, 2**16
# The float32 arithmetic of both sides errs by some 1e-6 radians near position 24, and by some 1e-2
# near 65,536, where a wrong frequency, factor or layout shows as errors near 1; of numbers near 1.
TOLERANCES = {NEAR: 1e-3, FAR: 0.2}
# What powers in float32 may differ by from device to device, and what a model may be cast to.
ULPS, CASTS = 1e-6, (torch.float32, torch.bfloat16, torch.float16)


def agrees(
    embedding: Module, layer_type: str | None, rope: Rope, rotate: Callable[..., Any]
) -> bool:
    """Say whether a model's embedding and function rotate as a rope does.

    Parameters
    ----------
    embedding : torch.nn.Module
        A model's; one of its class is made anew from its config, since its own may lie on the meta
        device, or have been rounded; see `changed`.
    layer_type : str, optional
        For which it is asked, if it has several.
    rope : Rope
        What the config says.
    rotate : callable
        A function of the model's source file.

    Returns
    -------
    bool
        Whether random queries and keys at random positions, some beyond 65,536, come out alike.
    """
    with torch.device("cpu"):
        fresh = _anew(embedding)
        return all(_agrees_near(fresh, layer_type, rope, rotate, reach) for reach in (NEAR, FAR))


def changed(embedding: Module, layer_types: Iterable[str | None]) -> list[str]:
    """Name the numbers of an embedding that somebody has changed since it was made.

    Parameters
    ----------
    embedding : torch.nn.Module
        A model's.
    layer_types : iterable of str or None
        Those that it serves.

    Returns
    -------
    list of str
        Frequencies and factors that are not those of its config, be it as it was made or after the
        longest of its calls, whose frequencies a rule that depends on the length leaves. Those on
        the meta device, and those that a cast has rounded to 16 bits, are not changed.
    """
    with torch.device("cpu"):
        fresh, used = _anew(embedding), _anew(embedding)
        longest = int(getattr(embedding, "max_seq_len_cached", 1))
        for layer_type in layer_types:
            length = int(getattr(embedding, f"{layer_type}_max_seq_len_cached", longest))
            _tables(used, layer_type, torch.full((1, 1), length - 1))
    return [
        name
        for name in (*embedding._buffers, *vars(embedding))
        if name.endswith(("inv_freq", "attention_scaling"))
        and not any(
            _is_alike(getattr(embedding, name), getattr(one, name, None)) for one in (fresh, used)
        )
    ]


def returns_pair(embedding: Module, layer_type: str | None) -> bool:
    """Say whether an embedding returns cosines and sines, rather than one complex table."""
    with torch.device("cpu"):
        tables = _tables(_anew(embedding), layer_type, torch.zeros(1, 1, dtype=torch.int64))
    return isinstance(tables, tuple)


def with_own_frequencies(embedding: Module, layer_type: str | None, rope: Rope) -> Rope:
    """Return a rope with the very frequencies that a model has, float32.

    Those of a rule in float64 differ from them by an ulp or so, which at position 100,000 is an
    angle of 0.01 radians.

    Parameters
    ----------
    embedding : torch.nn.Module
        A model's.
    layer_type : str, optional
        As in `agrees`.
    rope : Rope
        Which agrees.

    Returns
    -------
    Rope
        The same, if its rule depends on the length.
    """
    if rope.scaling.depends_on_length:
        return rope
    name = "inv_freq" if layer_type is None else f"{layer_type}_inv_freq"
    with torch.device("cpu"):
        inv_freq = getattr(_anew(embedding), name).double().numpy()
    spectrum = rope.spectrum()
    if not np.allclose(inv_freq, spectrum.inv_freq, rtol=1e-5, atol=0.0):
        return rope  # in the order of its sections, for instance
    own = ExplicitFrequencies(inv_freq, spectrum.attention_factor)
    axes = None if spectrum.axes is None else spectrum.axes.tolist()
    return replace(rope, scaling=own, axes=axes)


def _is_alike(own: object, new: object) -> bool:
    if isinstance(own, torch.Tensor) and isinstance(new, torch.Tensor):
        return own.is_meta or _is_rounded(own.detach().cpu().float(), new)
    return own is not None and own == new


def _is_rounded(own: torch.Tensor, new: torch.Tensor) -> bool:
    """Say whether numbers are others rounded to one of the types that a model is cast to."""
    ends = new * (1.0 - ULPS), new * (1.0 + ULPS)  # frequencies are not negative
    casts = ([end.to(dtype).float() for end in ends] for dtype in CASTS)
    return own.shape == new.shape and any(
        bool(((low <= own) & (own <= high)).all()) for low, high in casts
    )


def _anew(embedding: Module) -> Any:
    return type(embedding)(config=embedding.config)


@torch.no_grad()
def _tables(fresh: Any, layer_type: str | None, position_ids: torch.Tensor) -> Any:
    kind = () if layer_type is None else (layer_type,)
    return fresh(torch.zeros(1, dtype=torch.float32), position_ids, *kind)


@torch.no_grad()
def _agrees_near(
    fresh: Any, layer_type: str | None, rope: Rope, rotate: Callable[..., Any], reach: int
) -> bool:
    seeded = torch.Generator().manual_seed(0)
    spectrum = rope.spectrum(reach + NEAR)
    axes = AXES if hasattr(fresh, "mrope_section") else spectrum.position_axes
    if axes != spectrum.position_axes:  # its sections do not fit its width
        return False
    shape = (2, 5) if axes == 1 else (axes, 2, 5)
    position_ids = reach + torch.randint(NEAR, shape, generator=seeded)
    position_ids[..., -1] = reach + NEAR - 1  # the current length, on all axes
    answers = []
    for width in (rope.rotary_dim, rope.head_dim):
        q, k = (
            torch.randn(2, heads, 5, width, dtype=torch.float32, generator=seeded)
            for heads in HEADS
        )
        theirs = _theirs(fresh, layer_type, rotate, position_ids, (q, k))
        ours = Turning(rope, position_ids, spectrum, "float32")(q, k, "bhsd")
        answers.append(None if theirs is None else _alike(ours, theirs, TOLERANCES[reach]))
    # An attention may cut the rotated channels out of its heads, and its function know no others.
    return answers[0] is True and answers[1] in (True, None)


def _theirs(
    fresh: Any,
    layer_type: str | None,
    rotate: Callable[..., Any],
    position_ids: torch.Tensor,
    given: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, ...] | None:
    """Return what a model's own code makes of queries and keys, or None if it cannot."""
    try:
        tables = _tables(fresh, layer_type, position_ids)
        if isinstance(tables, tuple):
            return tuple(rotate(*given, *tables))
        return tuple(x.transpose(1, 2) for x in rotate(*(x.transpose(1, 2) for x in given), tables))
    except Exception:  # whatever it has against tensors that are not its own
        return None


def _alike(
    ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...], tolerance: float
) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(x.shape == y.shape and bool((x - y).abs().max() <= tolerance) for x, y in pairs)
