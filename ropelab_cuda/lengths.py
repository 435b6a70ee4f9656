"""The spectrum of a call whose length the device alone knows."""

from __future__ import annotations

from typing import Any

from ropelab import Rope
from ropelab.checks import check_rope

from .device_spectrum import DeviceSpectrum
from .exchange import Gate
from .frameworks import CuPy
from .launch_lengths import plan_length_spectrum, words_for
from .length_rules import LengthRule, length_rule
from .remember import remember
from .replay import replay
from .torch_tensors import torch_framework
from .views import View

__all__ = ["spectrum_at_gate", "spectrum_on_device", "spectrum_to_plan"]


def spectrum_on_device(rope: Rope, position_ids: Any) -> DeviceSpectrum:
    """Frequencies and amplitudes at the length ``max(position_ids) + 1``, found on the device.

    Nothing synchronises, so it can be captured in a CUDA graph, whose replays follow the positions.
    The length is that of the whole call, over its batch and all position axes, at least 1 and at
    most 2**63 - 1, as in `rotate`; without any position it is the one that the rule is made for.

    Parameters
    ----------
    rope : ropelab.Rope
        The rotary embedding, by any rule of `ropelab.scaling`. Those that do not depend on the
        length are copied to the device as they are.
    position_ids : CUDA tensor of int, any shape
        Positions in tokens, of any integer dtype but uint64.

    Returns
    -------
    DeviceSpectrum
        To be passed where a `ropelab.Spectrum` is, on the same stream. Its frequencies are the
        doubles of ``rope.spectrum(length)``. Past a period of 2**63 tokens, which `ropelab`
        refuses, a pair of a `ropelab.scaling.Resonance` has none.

    Raises
    ------
    TypeError
        If `rope` is no Rope, its rule is one of your own that depends on the length, or
        `position_ids` is no tensor that can be taken.
    ValueError
        If the rule refuses the rope, at any length; or the positions' strides do not reduce to
        three axes.
    ImportError
        If CuPy is missing.

    Examples
    --------
    >>> rope = ropelab.from_transformers("microsoft/Phi-4-mini/config.json")  # doctest: +SKIP
    >>> spectrum = spectrum_on_device(rope, position_ids)  # doctest: +SKIP
    >>> q, k = apply_rotary_qk(q, k, position_ids, spectrum)  # doctest: +SKIP
    """
    check_rope(rope)
    rule = length_rule(rope)
    call = ("spectrum_on_device", rule)
    made = replay((position_ids,), call)
    if made is not None:
        return _of_torch(rule, made[0])
    gate = Gate(position_ids, "position_ids")
    positions = gate.integers(position_ids, "position_ids")
    return spectrum_at_gate(gate, rule, position_ids, positions, position_ids, positions)


def spectrum_at_gate(
    gate: Gate, rule: LengthRule, position_ids: Any, positions: View, like: Any, like_view: View
) -> DeviceSpectrum:
    """Compute a spectrum on a gate's stream.

    Parameters
    ----------
    gate : Gate
        Which has taken the positions.
    rule : LengthRule
        The rope's rule.
    position_ids, positions : tensor, View
        The positions.
    like, like_view : tensor, View
        A tensor of the gate's framework, on whose device the result is allocated.

    Returns
    -------
    DeviceSpectrum
        The numbers, as soon as the stream comes to them.
    """
    words = words_for(positions, rule.spectrum.rotary_dim // 2)
    buffer = gate.framework.empty(like, like_view, (words,), "int64")
    view = gate.output(buffer, "spectrum", (words,), "int64")
    plans = plan_length_spectrum(positions, rule, view)
    launches = [gate.launch(plan, [buffer]) for plan in plans]
    if len(plans) == 1:
        call, starts = ("spectrum_on_device", rule), {"other": 0, "output": 1}
        given, made = [(position_ids, positions)], [(buffer, view)]
        remember(call, plans[0], launches[0], given, made, slice(0), starts, rule)
    return DeviceSpectrum(rule, buffer, view, gate.framework)


def spectrum_to_plan(rope: Rope) -> DeviceSpectrum:
    """Return a spectrum without memory behind it, for plans that are not launched."""
    pointer = 1 << 33  # aligned to whatever is asked for
    return DeviceSpectrum(length_rule(rope), None, View(pointer, (0,), (1,), "int64"), CuPy())


def _of_torch(rule: LengthRule, buffer: Any) -> DeviceSpectrum:
    view = View(buffer.data_ptr(), (buffer.numel(),), (1,), "int64", buffer.get_device(), buffer)
    return DeviceSpectrum(rule, buffer, view, torch_framework())
