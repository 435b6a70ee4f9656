"""One call, from arguments to launch: take, check, allocate, plan, launch, remember the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab import Spectrum
from ropelab.checks import (
    ANGLES,
    TENSOR_FORMATS,
    check_choice,
    check_flag,
    check_norm_weight,
    check_positions,
    check_rotary_offset,
    check_same_tokens,
    check_table,
    check_width,
    token_shape,
)
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement, Storage
from ropelab.spectrum import check_spectrum

from .exchange import Gate
from .launch import Plan
from .launch_norm import plan_norm_rotary
from .launch_rotary import plan_rotary, plan_rotary_cached
from .overlaps import check_overlaps
from .replay import Key, remember
from .storage import dtype_name, split_scale, take_scales
from .views import View
from .work import Scale

__all__ = [
    "named_pair",
    "norm_and_rotate",
    "rotate_by_positions",
    "rotate_by_tables",
]


_AS_IT_CAME = Storage()


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
    spectrum: Spectrum,
    angles: str,
    place: Placement,
    call: Key,
    storage: Storage = _AS_IT_CAME,
) -> tuple[Any, ...]:
    """Rotate one or two tensors by their positions, in one launch.

    Parameters
    ----------
    tensors : mapping of str to tensor
        What to rotate, by the names of the arguments.
    outs : mapping of str to tensor, optional
        Where the rotations go, likewise; by default they are allocated.
    position_ids : tensor
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum
        As in `ropelab.apply_rotary`.
    angles : str
        As in `ropelab.apply_rotary`.
    place : Placement
        Where the pairs lie, and which way they turn.
    call : tuple
        Under which `replay` may look for the plan.
    storage : Storage
        In which format, and over which scales, the results are stored.

    Returns
    -------
    tuple of tensors
        The rotated tensors.
    """
    check_choice(angles, ANGLES, "angles")
    check_spectrum(spectrum)
    gate, views, scales = _take(tensors, place, storage)
    name, first = next(iter(views.items()))
    check_width(spectrum.rotary_dim, first.shape[-1], name)
    check_rotary_offset(place.rotary_offset, spectrum.rotary_dim, first.shape[-1])
    positions = gate.integers(position_ids, "position_ids")
    tokens = token_shape(first.shape, place.tensor_format, name)
    check_positions(positions.shape, tokens, axes=spectrum.position_axes)
    read = [("position_ids", positions), *scales]
    results, operands = _outputs(gate, tensors, views, outs, read, storage)
    plan = plan_rotary(
        operands,
        positions,
        spectrum,
        place=place,
        angles=angles,
        scales=[scale for _, scale in scales],
    )
    others = [*_passed(storage, scales), (position_ids, positions)]
    _launch(gate, plan, call, tensors, outs, results, operands, others, spectrum)
    return results


def rotate_by_tables(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    cos: Any,
    sin: Any,
    place: Placement,
    call: Key,
    storage: Storage = _AS_IT_CAME,
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

    Returns
    -------
    tuple of tensors
        The rotated tensors.
    """
    gate, views, scales = _take(tensors, place, storage)
    name, first = next(iter(views.items()))
    tokens = token_shape(first.shape, place.tensor_format, name)
    tables = {
        table_name: gate.floats(table, table_name, foreign=True)
        for table_name, table in (("cos", cos), ("sin", sin))
    }
    for table_name, table in tables.items():
        check_table(table.shape, tokens, first.shape[-1], table_name)
    if tables["cos"].shape[-1] != tables["sin"].shape[-1]:
        widths = tables["cos"].shape[-1], tables["sin"].shape[-1]
        msg = f"sin: expected the width of cos, {widths[0]}; got {widths[1]}"
        raise ValueError(msg)
    check_rotary_offset(place.rotary_offset, 2 * tables["cos"].shape[-1], first.shape[-1])
    _check_same_dtype(tables)
    results, operands = _outputs(gate, tensors, views, outs, [*tables.items(), *scales], storage)
    plan = plan_rotary_cached(
        operands,
        tables["cos"],
        tables["sin"],
        place=place,
        scales=[scale for _, scale in scales],
    )
    others = [*_passed(storage, scales), (cos, tables["cos"]), (sin, tables["sin"])]
    _launch(gate, plan, call, tensors, outs, results, operands, others)
    return results


def norm_and_rotate(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    weights: Mapping[str, Any],
    position_ids: Any,
    spectrum: Spectrum,
    angles: str,
    norm: Norm,
    place: Placement,
    call: Key,
) -> tuple[Any, ...]:
    """Norm and rotate queries and keys, in one launch.

    Parameters
    ----------
    tensors : mapping of str to tensor
        As in `rotate_by_positions`; both.
    outs : mapping of str to tensor, optional
        As in `rotate_by_positions`.
    weights : mapping of str to tensor or None
        Of both, by the names of the arguments.
    position_ids : tensor
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum
        As in `ropelab.apply_rotary`.
    angles : str
        As in `ropelab.apply_rotary`.
    norm : Norm
        How to norm.
    place : Placement
        Where the pairs lie.
    call : tuple
        As in `rotate_by_positions`.

    Returns
    -------
    tuple of tensors
        The normed and rotated tensors.
    """
    check_choice(angles, ANGLES, "angles")
    check_spectrum(spectrum)
    norm = norm.checked()
    gate, views, _ = _take(tensors, place, _AS_IT_CAME)
    name, first = next(iter(views.items()))
    head_dim = first.shape[-1]
    check_width(spectrum.rotary_dim, head_dim, name)
    check_rotary_offset(place.rotary_offset, spectrum.rotary_dim, head_dim)
    head_axis = TENSOR_FORMATS[place.tensor_format].head_axis
    taken: dict[str, View] = {}
    for (name, weight), view in zip(weights.items(), views.values(), strict=True):
        if weight is not None:
            taken[name] = found = gate.floats(weight, name, foreign=True)
            heads = view.shape[head_axis]
            check_norm_weight(found.shape, heads, head_dim, name, across_heads=norm.across_heads)
    if len(taken) == 2:
        _check_same_dtype(taken)
    positions = gate.integers(position_ids, "position_ids")
    tokens = token_shape(first.shape, place.tensor_format, "q")
    check_positions(positions.shape, tokens, axes=spectrum.position_axes)
    read = [("position_ids", positions), *taken.items()]
    results, operands = _outputs(gate, tensors, views, outs, read, _AS_IT_CAME)
    plan = plan_norm_rotary(
        operands,
        [taken.get(name) for name in weights],
        positions,
        spectrum,
        norm=norm,
        place=place,
        angles=angles,
    )
    others = [(weights[name], view) for name, view in taken.items()]
    others.append((position_ids, positions))
    _launch(gate, plan, call, tensors, outs, results, operands, others, spectrum)
    return results


def _take(
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
        _check_same_dtype(views)
    return gate, views, take_scales(gate, storage.scale, len(views))


def _check_same_dtype(views: Mapping[str, View]) -> None:
    (first_name, first), (name, second) = views.items()
    if second.dtype != first.dtype:
        msg = (
            f"{name}: expected the dtype of {first_name}, {first.dtype}; got {second.dtype}; "
            f"convert one of them"
        )
        raise TypeError(msg)


def _outputs(
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
        others = [(name, view) for name, view in read if isinstance(view, View)]
        check_overlaps(list(zip(names, targets, strict=True)), [*views.items()], others)
    return results, list(zip(views.values(), targets, strict=True))


def _passed(storage: Storage, scales: Sequence[tuple[str, Scale]]) -> list[tuple[Any, View]]:
    """Return the scales that are tensors, each with its view."""
    views = [scale for _, scale in scales if isinstance(scale, View)]
    return [*zip(split_scale(storage.scale, len(scales))[1], views, strict=True)]


def _launch(
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
