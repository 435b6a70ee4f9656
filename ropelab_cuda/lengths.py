"""The spectrum of a call whose length the device alone knows."""

from __future__ import annotations

from typing import Any

from ropelab import Rope
from ropelab.checks import check_rope

from .device_spectrum import DeviceSpectrum
from .exchange import Gate
from .launch_lengths import plan_length_spectrum, words_for
from .length_rules import length_rule
from .views import View

__all__ = ["spectrum_at_gate", "spectrum_on_device"]


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
    gate = Gate(position_ids, "position_ids")
    positions = gate.integers(position_ids, "position_ids")
    return spectrum_at_gate(gate, rope, positions, position_ids, positions)


def spectrum_at_gate(
    gate: Gate, rope: Rope, positions: View, like: Any, like_view: View
) -> DeviceSpectrum:
    """Compute a spectrum on a gate's stream.

    Parameters
    ----------
    gate : Gate
        Which has taken the positions.
    rope : Rope
        The rotary embedding.
    positions : View
        Its positions.
    like, like_view : tensor, View
        A tensor on whose device the result is allocated.

    Returns
    -------
    DeviceSpectrum
        The numbers, as soon as the stream comes to them.
    """
    rule = length_rule(rope)
    words = words_for(positions, rope.rotary_dim // 2)
    buffer = gate.framework.empty(like, like_view, (words,), "int64")
    view = gate.output(buffer, "spectrum", (words,), "int64")
    for plan in plan_length_spectrum(positions, rule, view):
        gate.launch(plan, [buffer])
    axes = rule.spectrum.axes
    assert axes is not None
    return DeviceSpectrum(
        rope, buffer, view, gate.framework, axes, rule.has_periods, rule.spectrum.softmax_factor
    )
