"""One call that writes into caches, from arguments to launch; see `calls`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ropelab.checks import check_same_tokens, check_slots_shape, token_shape
from ropelab.pairs import Placement
from ropelab.slots import check_caches, check_values

from .calls import check_same_dtype
from .exchange import Gate
from .given_angles import GivenAngles
from .given_positions import Parts
from .launch_kv_cache import Cached, plan_rotary_kv_cache
from .overlaps import check_overlaps
from .recordings import Key
from .remember import remember
from .replay import replay
from .storage import split_scale, take_scale
from .views import View

__all__ = ["Options", "Tensors", "rotate_into_caches"]


class Tensors(NamedTuple):
    """The tensors of a call but its output and those of angles, as the caller gave them."""

    q: Any
    k: Any
    v: Any
    k_cache: Any
    v_cache: Any
    slots: Any
    overrun_flag: Any


class Options(NamedTuple):
    """What else the caller gave."""

    angles: GivenAngles
    place: Placement
    k_scale: Any
    v_scale: Any


def rotate_into_caches(
    tensors: Tensors, options: Options, out: Any = None, *, in_place: bool = False
) -> Any:
    """Rotate queries, rotate keys into a cache and write values into one, in one launch.

    Parameters
    ----------
    tensors : Tensors
        Inputs, caches and the flag.
    options : Options
        The other arguments.
    out : tensor, optional
        Where the rotated queries go; by default to a new tensor.
    in_place : bool, default False
        Whether they go where the queries are.

    Returns
    -------
    tensor
        The rotated queries.
    """
    angles, place, *scales = options
    words, _ = split_scale(scales, 2)
    given = (in_place, out is not None, tensors.overrun_flag is not None)
    how = (angles.pipeline, place, type(place.rotary_offset), words, given)
    call = ("apply_rotary_kv_cache", id(angles.spectrum), *how)
    outs, others = () if out is None else (out,), _others(tensors, options)
    made = replay((tensors.q, *outs, *others, angles.position_ids), call)
    if made is None:
        parts, call = angles.in_parts(call)
        if not angles.are_whole and parts.are_near:  # others have been tried
            made = replay((tensors.q, *outs, *others, *parts.tensors), call, parts.numbers)
        if made is None:
            return _go_the_whole_way(tensors, options, out, in_place, parts, call)
    return tensors.q if in_place else (*made, *outs)[0]


def _others(tensors: Tensors, options: Options) -> tuple[Any, ...]:
    """Return the tensors beside q, its output and those of angles, in the order of the plan."""
    t, scales = tensors, split_scale((options.k_scale, options.v_scale), 2)[1]
    flags = () if t.overrun_flag is None else (t.overrun_flag,)
    return (t.k_cache, t.v_cache, *flags, t.k, t.v, *scales, t.slots)


def _go_the_whole_way(
    tensors: Tensors, options: Options, out: Any, in_place: bool, parts: Parts, call: Key
) -> Any:
    """Take, check, allocate, plan, launch, remember the plan."""
    angles, place = options.angles, options.place
    place.ends()
    gate = Gate(tensors.q, "q")
    q, k, v = (gate.floats(getattr(tensors, name), name) for name in ("q", "k", "v"))
    tokens = token_shape(q.shape, place.tensor_format, "q")
    check_same_tokens(q.shape, k.shape, place.tensor_format)
    check_values(v.shape, k.shape, place.tensor_format)
    check_same_dtype({"q": q, "k": k})
    check_same_dtype({"q": q, "v": v})
    positions, place = angles.take(gate, q, "q", place)
    k_cache, v_cache = (
        gate.memory(getattr(tensors, name), name) for name in ("k_cache", "v_cache")
    )
    check_caches(k_cache.shape, v_cache.shape, k.shape, v.shape, place.tensor_format)
    slots = gate.integers(tensors.slots, "slots")
    check_slots_shape(slots.shape, tokens)
    scales = {name: _scale(gate, getattr(options, name), name) for name in ("k_scale", "v_scale")}
    scale_views = {name: scale for name, scale in scales.items() if isinstance(scale, View)}
    flags = {}
    if tensors.overrun_flag is not None:
        flags["overrun_flag"] = gate.flag(tensors.overrun_flag, "overrun_flag")
    name, result = ("q", tensors.q) if in_place else ("out", out)
    if result is None:
        name, result = "out for q", gate.framework.empty_like(tensors.q, q, q.dtype)
    target = gate.output(result, name, q.shape, q.dtype)
    caches = {"k_cache": k_cache, "v_cache": v_cache}
    written_to = {**caches, **flags}
    read = {"k": k, "v": v, **scale_views, "slots": slots}
    check_overlaps(
        [(name, target), *written_to.items()],
        [("q", q)],
        [*read.items(), *positions.views.items()],
    )
    plan = plan_rotary_kv_cache(
        (q, target),
        Cached(k, k_cache, scales["k_scale"]),
        Cached(v, v_cache, scales["v_scale"]),
        positions,
        slots,
        angles.spectrum,
        place=place,
        angles=angles.pipeline,
        overrun=flags.get("overrun_flag"),
    )
    views = (*written_to.values(), *read.values(), *angles.views(positions))
    others = [*zip((*_others(tensors, options), *parts.tensors), views, strict=True)]
    kept = others[: len(written_to)]
    again = gate.launch(plan, [result, *(x for x, _ in kept)])
    outs = [] if out is None else [(out, target)]
    passed = [(tensors.q, q), *outs, *others]
    made = [] if in_place or outs else [(result, target)]
    # All that is written lies side by side: q or its output, if not made, before the caches.
    first = 1 if made or outs else 0
    written = slice(first, len(outs) + 1 + len(kept))
    starts = {"input": 0, "output": len(passed) if made else first, "other": 1 + len(outs)}
    remember(call, plan, again, passed, made, written, starts, angles.keyed)
    return result


def _scale(gate: Gate, scale: Any, name: str) -> float | View | None:
    """Take a scale; a number that is one is none."""
    taken = take_scale(gate, scale, name)
    return None if taken == 1.0 else taken
