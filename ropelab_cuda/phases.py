"""Position times frequency on the GPU: `ropelab.phases`, for positions in device memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab.checks import ANGLES, check_choice, check_position_axes

from .calls import named_pair
from .device_spectrum import AnySpectrum, check_any_spectrum
from .exchange import Gate
from .launch import FORMATS, plan_cos_sin, plan_phases
from .overlaps import check_overlaps
from .storage import dtype_name
from .views import View

__all__ = ["cos_sin", "exact_phases"]


def exact_phases(position_ids: Any, spectrum: AnySpectrum, *, out: Any = None) -> Any:
    """Fraction of a turn of each pair at each position, in 64-bit fixed point.

    Parameters
    ----------
    position_ids : CUDA tensor of int, any shape
        Positions in tokens, of any integer dtype but uint64. If the spectrum names several
        position axes, the first axis counts them.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        The frequencies.
    out : CUDA tensor of uint64, optional
        Where the result goes; compact.

    Returns
    -------
    CUDA tensor of uint64, shape position_ids.shape + (d/2,)
        Turns times 2**64: the same integers as `ropelab.exact_phases` gives.

    Raises
    ------
    TypeError
        If an argument is no tensor that can be taken, or of an unsupported dtype.
    ValueError
        If a device or a shape does not fit, or the positions' strides do not reduce to two axes.
    ImportError
        If CuPy is missing.
    """
    check_any_spectrum(spectrum)
    gate, positions, shape = _take(position_ids, spectrum)
    result = gate.framework.empty(position_ids, positions, shape, "uint64") if out is None else out
    target = _compact(gate, result, "out", shape, "uint64")
    check_overlaps([("out", target)], [], [("position_ids", positions)])
    gate.launch(plan_phases(positions, spectrum, target), [result])
    return result


def cos_sin(
    position_ids: Any,
    spectrum: AnySpectrum,
    *,
    angles: str = "exact",
    dtype: object = "float32",
    out: Sequence[Any] | None = None,
) -> tuple[Any, Any]:
    """Cosine and sine of each pair at each position, times the attention factor.

    Parameters
    ----------
    position_ids : CUDA tensor of int, any shape
        As in `exact_phases`.
    spectrum : ropelab.Spectrum or DeviceSpectrum
        Frequencies and attention factor.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline; see `ropelab.cos_sin`. ``"float32"`` holds for angles below 2**50.
    dtype : str or dtype, default "float32"
        Format of the result: float64, float32, float16 or bfloat16, by name or as the dtype of
        any framework. The narrow formats are rounded from float32.
    out : (CUDA tensor, CUDA tensor), optional
        Where the results go; compact.

    Returns
    -------
    cos, sin : CUDA tensor of `dtype`, shape position_ids.shape + (d/2,)
        One value a pair, half the width of Transformers' tables.

    Raises
    ------
    TypeError
        As in `exact_phases`; or if `dtype` is not a floating-point format.
    ValueError
        As in `exact_phases`; or if `angles` is unknown.
    ImportError
        If CuPy is missing.
    """
    check_choice(angles, ANGLES, "angles")
    check_any_spectrum(spectrum)
    name = dtype_name(dtype, FORMATS)
    gate, positions, shape = _take(position_ids, spectrum)
    if out is None:
        out = tuple(gate.framework.empty(position_ids, positions, shape, name) for _ in range(2))
    outs = named_pair(out)
    targets = {key: _compact(gate, result, key, shape, name) for key, result in outs.items()}
    check_overlaps([*targets.items()], [], [("position_ids", positions)])
    cos, sin = outs.values()
    gate.launch(plan_cos_sin(positions, spectrum, *targets.values(), angles=angles), [cos, sin])
    return cos, sin


def _take(position_ids: Any, spectrum: AnySpectrum) -> tuple[Gate, View, tuple[int, ...]]:
    """Return the gate, the positions, and the shape of a table over them."""
    gate = Gate(position_ids, "position_ids")
    positions = gate.integers(position_ids, "position_ids")
    gate.order(spectrum)
    axes, tokens = spectrum.position_axes, positions.shape
    if axes > 1:
        check_position_axes(tokens, axes)
        tokens = tokens[1:]
    return gate, positions, (*tokens, spectrum.rotary_dim // 2)


def _compact(gate: Gate, x: Any, name: str, shape: tuple[int, ...], dtype: str) -> View:
    view = gate.output(x, name, shape, dtype)
    if not view.is_compact:
        msg = f"{name}: expected a compact tensor; got strides {view.strides}; make it contiguous"
        raise ValueError(msg)
    return view
