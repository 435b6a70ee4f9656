"""One call, from arguments to launch: take, check, allocate, plan, launch, remember the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.checks import check_flag, check_rotary_offset, check_same_tokens, token_shape
from ropelab.pairs import Placement, Storage

from .decay import Decay
from .device_spectrum import AnySpectrum
from .exchange import Gate
from .given_angles import GivenAngles
from .given_positions import Parts, parts_of
from .launch import Plan
from .launch_rotary import plan_rotary, plan_rotary_cached, plan_rotary_indexed
from .overlaps import check_overlaps
from .recordings import Key
from .remember import remember
from .replay import replay
from .storage import dtype_name, split_scale, take_scales
from .tables import ROW_A_TOKEN, Reading, take_lookup, take_tables
from .views import View
from .work import Scale

__all__ = [
    "AS_IT_CAME",
    "check_same_dtype",
    "launch_and_remember",
    "named_pair",
    "outputs_of",
    "passed_scales",
    "replay_parts",
    "rotate_by_positions",
    "rotate_by_tables",
    "scale_tensors",
    "take_tensors",
]


AS_IT_CAME = Storage()


def named_pair(out: object) -> dict[str, Any]:
    """Return a pair of outputs by names, or raise TypeError if it is none."""
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        msg = f"out: expected a pair (q_out, k_out); got {type(out).__name__}"
        raise TypeError(msg)
    return {"out[0]": out[0], "out[1]": out[1]}


def rotate_by_positions(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    position_ids: Any,
    spectrum: AnySpectrum,
    angles: str,
    place: Placement,
    call: Key,
    storage: Storage = AS_IT_CAME,
    decay: Decay | None = None,
) -> tuple[Any, ...]:
    """Rotate one or two tensors by their positions, in one launch.

    Parameters
    ----------
    tensors : mapping of str to tensor
        What to rotate, by the names of the arguments.
    outs : mapping of str to tensor, optional
        Where the rotations go, likewise; by default they are allocated.
    position_ids : tensor, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum or DeviceSpectrum
        As in `ropelab.apply_rotary`.
    angles : str
        As in `ropelab.apply_rotary`.
    place : Placement
        Where the pairs lie, and which way they turn.
    call : tuple
        Under which `replay` may look for the plan; its second entry stands for the spectrum.
    storage : Storage
        In which format, and over which scales, the results are stored.
    decay : Decay, optional
        By which queries are scaled, and keys over which.

    Returns
    -------
    tuple of tensors
        The rotated tensors.
    """
    given = GivenAngles(position_ids, spectrum, angles)
    parts, call = given.in_parts(call)
    if not given.are_whole:  # others have been tried
        made = replay_parts(tensors, outs, scale_tensors(storage, tensors), parts, call)
        if made is not None:
            return made
    gate, views, scales = take_tensors(tensors, place, storage)
    name, first = next(iter(views.items()))
    positions, place = given.take(gate, first, name, place)
    read = [*positions.views.items(), *scales]
    results, operands = outputs_of(gate, tensors, views, outs, read, storage)
    plan = plan_rotary(
        operands,
        positions,
        spectrum,
        place=place,
        angles=angles,
        scales=[scale for _, scale in scales],
        decay=decay,
    )
    others = [
        *passed_scales(storage, scales),
        *zip(parts.tensors, given.views(positions), strict=True),
    ]
    launch_and_remember(gate, plan, call, tensors, outs, results, operands, others, given.keyed)
    return results


def rotate_by_tables(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    cos: Any,
    sin: Any,
    place: Placement,
    call: Key,
    storage: Storage = AS_IT_CAME,
    reading: Reading = ROW_A_TOKEN,
) -> tuple[Any, ...]:
    """Rotate one or two tensors by given cosines and sines, in one launch.

    Parameters
    ----------
    tensors : mapping of str to tensor
        As in `rotate_by_positions`.
    outs : mapping of str to tensor, optional
        As in `rotate_by_positions`.
    cos, sin : tensor
        As in `ropelab.apply_rotary_cached`.
    place : Placement
        Where the pairs lie, and which way they turn.
    call : tuple
        As in `rotate_by_positions`.
    storage : Storage
        In which format, and over which scales, the results are stored.
    reading : Reading
        How the tables are read.

    Returns
    -------
    tuple of tensors
        The rotated tensors.
    """
    parts, given = Parts(()), {"cos": cos, "sin": sin}
    if reading.is_indexed:
        parts = parts_of(reading.position_ids)
        call = (*call, "indexed", *parts.key)
        parts = parts._replace(tensors=(*given.values(), *parts.tensors))
        if not reading.looks:
            made = replay_parts(tensors, outs, scale_tensors(storage, tensors), parts, call)
            if made is not None:
                return made
    gate, views, scales = take_tensors(tensors, place, storage)
    name, first = next(iter(views.items()))
    head_dim = first.shape[-1]
    tokens = token_shape(first.shape, place.tensor_format, name)
    tables = take_tables(gate, given, tokens, head_dim, reading, place.rotated_layout())
    offset = check_rotary_offset(place.rotary_offset, 2 * tables["cos"].shape[-1], head_dim)
    place = place._replace(rotary_offset=offset)
    check_same_dtype(tables)
    lookup = take_lookup(gate, reading, tokens, tables["cos"].shape[0])
    others = tables | dict(lookup.positions.views if lookup else {})
    flags = {"overrun_flag": lookup.overrun_flag} if lookup and lookup.overrun_flag else {}
    check_overlaps([*flags.items()], [*views.items()], [*others.items(), *_views(scales)])
    read = [*others.items(), *flags.items(), *scales]
    results, operands = outputs_of(gate, tensors, views, outs, read, storage)
    cos_view, sin_view = tables.values()
    options: dict[str, Any] = {"place": place, "scales": [scale for _, scale in scales]}
    if lookup is None:
        plan = plan_rotary_cached(operands, cos_view, sin_view, **options)
    else:
        plan = plan_rotary_indexed(operands, cos_view, sin_view, lookup, **options)
    if reading.looks:
        gate.launch(plan, [*results, *([reading.overrun_flag] if flags else [])])
        return results
    passed = [
        *passed_scales(storage, scales),
        *zip(parts.tensors or given.values(), others.values(), strict=True),
    ]
    launch_and_remember(gate, plan, call, tensors, outs, results, operands, passed)
    return results


def replay_parts(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    others: Sequence[Any],
    parts: Parts,
    call: Key,
) -> tuple[Any, ...] | None:
    """Launch a plan that is known, of inputs that only now are in parts; or return None."""
    if not parts.are_near:
        return None
    given = () if outs is None or outs is tensors else tuple(outs.values())
    made = replay((*tensors.values(), *given, *others, *parts.tensors), call, parts.numbers)
    return made if made is None or outs is None else tuple(outs.values())


def scale_tensors(storage: Storage, tensors: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the device tensors among the scales of a call, in the order of its tensors."""
    return () if storage.scale is None else split_scale(storage.scale, len(tensors))[1]


def take_tensors(
    tensors: Mapping[str, Any], place: Placement, storage: Storage
) -> tuple[Gate, dict[str, View], list[tuple[str, Scale]]]:
    """Check how the tensors are to be rotated, open the gate, and take them and their scales."""
    place.ends()
    check_flag(place.inverse, "inverse")
    name, first = next(iter(tensors.items()))
    gate = Gate(first, name)
    views = {name: gate.floats(tensor, name) for name, tensor in tensors.items()}
    for name, view in views.items():
        token_shape(view.shape, place.tensor_format, name)
    if len(views) > 1:
        q, k = views.values()
        check_same_tokens(q.shape, k.shape, place.tensor_format)
        check_same_dtype(views)
    return gate, views, take_scales(gate, storage.scale, len(views))


def check_same_dtype(views: Mapping[str, View]) -> None:
    """Raise TypeError unless both of two tensors are of one dtype."""
    (first_name, first), (name, second) = views.items()
    if second.dtype != first.dtype:
        msg = (
            f"{name}: expected the dtype of {first_name}, {first.dtype}; got {second.dtype}; "
            f"convert one of them"
        )
        raise TypeError(msg)


def outputs_of(
    gate: Gate,
    tensors: Mapping[str, Any],
    views: Mapping[str, View],
    outs: Mapping[str, Any] | None,
    read: Sequence[tuple[str, View | float]],
    storage: Storage,
) -> tuple[tuple[Any, ...], Sequence[tuple[View, View]]]:
    """Return the output tensors, and each input's view beside its output's."""
    asked = None if storage.dtype is None else dtype_name(storage.dtype)
    dtypes = [asked or view.dtype for view in views.values()]
    if outs is None:
        results = tuple(
            gate.framework.empty_like(tensor, view, dtype)
            for tensor, view, dtype in zip(tensors.values(), views.values(), dtypes, strict=True)
        )
        names = tuple(f"out for {name}" for name in tensors)
    else:
        results, names = tuple(outs.values()), tuple(outs)
    targets = [
        gate.output(result, name, view.shape, dtype)
        for result, name, view, dtype in zip(results, names, views.values(), dtypes, strict=True)
    ]
    if outs is not None:
        check_overlaps(list(zip(names, targets, strict=True)), [*views.items()], _views(read))
    return results, list(zip(views.values(), targets, strict=True))


def _views(read: Sequence[tuple[str, View | float]]) -> list[tuple[str, View]]:
    return [(name, view) for name, view in read if isinstance(view, View)]


def passed_scales(storage: Storage, scales: Sequence[tuple[str, Scale]]) -> list[tuple[Any, View]]:
    """Return the scales that are tensors, each with its view."""
    views = [scale for _, scale in scales if isinstance(scale, View)]
    return [*zip(split_scale(storage.scale, len(scales))[1], views, strict=True)]


def launch_and_remember(
    gate: Gate,
    plan: Plan,
    call: Key,
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    results: Sequence[Any],
    operands: Sequence[tuple[View, View]],
    others: Sequence[tuple[Any, View]],
    owner: object = None,
) -> None:
    """Launch a plan, and remember it for calls that are like this one."""
    again = gate.launch(plan, results)
    inputs = [*zip(tensors.values(), (x for x, _ in operands), strict=True)]
    outputs = [*zip(results, (out for _, out in operands), strict=True)]
    in_place, given = outs is tensors, outs is not None and outs is not tensors
    passed = [*inputs, *(outputs if given else ()), *others]
    made = [] if outs is not None else outputs
    first_output = 0 if in_place else len(inputs) if given else len(passed)
    written = slice(first_output, first_output + len(outputs)) if outs is not None else slice(0)
    starts = {"input": 0, "other": len(passed) - len(others), "output": first_output}
    remember(call, plan, again, passed, made, written, starts, owner)
