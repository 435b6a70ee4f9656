"""What the goldens are asked of: the specification itself, a mutant of it, or another package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

import ropelab

from ..scaling import RULES
from .case import DTYPES, Array, Case

__all__ = ["SPECIFICATION", "Implementation", "rope_of_card", "run"]


@dataclass(frozen=True)
class Implementation:
    """Functions under test, with the signatures of `ropelab`; NumPy in, NumPy out."""

    from_transformers: Callable[..., Any]
    spectrum: Callable[..., ropelab.Spectrum]
    exact_phases: Callable[..., Array]
    cos_sin: Callable[..., tuple[Array, Array]]
    apply_rotary: Callable[..., Array]
    apply_rotary_qk: Callable[..., tuple[Array, Array]]
    apply_rotary_cached: Callable[..., Array]
    to_half: Callable[..., Array]
    to_interleaved: Callable[..., Array]


def _spectrum(rope: ropelab.Rope, seq_len: int | None) -> ropelab.Spectrum:
    return rope.spectrum(seq_len)


SPECIFICATION = Implementation(
    spectrum=_spectrum,
    **{f.name: getattr(ropelab, f.name) for f in fields(Implementation) if f.name != "spectrum"},
)


def rope_of_card(card: Mapping[str, Any]) -> ropelab.Rope:
    """Return the Rope that a case describes by plain numbers."""
    own = ("head_dim", "rotary_dim", "base", "layout", "max_position_embeddings", "rope_type")
    parameters = {key: value for key, value in card.items() if key not in own}
    geometry = {key: card[key] for key in own[1:-1] if key in card}
    return ropelab.Rope(
        card["head_dim"], scaling=RULES[card["rope_type"]](**parameters), **geometry
    )


def run(case: Case, implementation: Implementation) -> dict[str, Array]:
    """Return what an implementation answers to a case.

    Parameters
    ----------
    case : Case
        The question. Its arrays are copied first, so that an implementation cannot spoil them.
    implementation : Implementation
        Whom to ask.

    Returns
    -------
    dict of str to ndarray
        Answers by name.

    Raises
    ------
    AssertionError
        If the implementation wrote into its arguments.
    """
    arrays = {name: array.copy() for name, array in case.arguments.items()}
    answers = _RUNNERS[case.op](case, arrays, implementation)
    for name, array in arrays.items():
        if array.tobytes() != case.arguments[name].tobytes():
            msg = f"{case.id}: the argument {name} was overwritten"
            raise AssertionError(msg)
    return answers


def _given_spectrum(case: Case, arrays: dict[str, Array]) -> ropelab.Spectrum:
    factor = case.options.get("attention_factor", 1.0)
    return ropelab.Spectrum(arrays["inv_freq"], factor, axes=arrays.get("axes"))


def _numbers(spectrum: ropelab.Spectrum) -> dict[str, Array]:
    factors = np.array([spectrum.attention_factor, spectrum.softmax_factor])
    return {"inv_freq": spectrum.inv_freq, "factors": factors}


def _run_spectrum(case: Case, _: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    rope = rope_of_card(case.options["rope"])
    return _numbers(asked.spectrum(rope, case.options["seq_len"]))


def _run_config(case: Case, _: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    rope = asked.from_transformers(case.options["config"])
    shape = np.array([rope.head_dim, rope.rotary_dim, rope.layout == "interleaved"], np.int64)
    return {**_numbers(asked.spectrum(rope, case.options["seq_len"])), "geometry": shape}


def _run_turns(_: Case, arrays: dict[str, Array], __: Implementation) -> dict[str, Array]:
    return {"turns": ropelab.Spectrum(arrays["inv_freq"]).turns}


def _run_phases(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    spectrum = _given_spectrum(case, arrays)
    return {"phases": asked.exact_phases(arrays["position_ids"], spectrum)}


def _run_cos_sin(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    cos, sin = asked.cos_sin(
        arrays["position_ids"],
        _given_spectrum(case, arrays),
        angles=case.options["angles"],
        dtype=DTYPES[case.options["dtype"]],
    )
    return {"cos": cos, "sin": sin}


def _rotation_options(case: Case, *names: str) -> dict[str, Any]:
    return {name: case.options[name] for name in ("layout", "tensor_format", "inverse", *names)}


def _run_rotary(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    given = (arrays["x"], arrays["position_ids"], _given_spectrum(case, arrays))
    return {"x": asked.apply_rotary(*given, **_rotation_options(case, "angles"))}


def _run_qk(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    given = (arrays["q"], arrays["k"], arrays["position_ids"], _given_spectrum(case, arrays))
    q, k = asked.apply_rotary_qk(*given, **_rotation_options(case, "angles"))
    return {"q": q, "k": k}


def _run_cached(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    given = (arrays["x"], arrays["cos"], arrays["sin"])
    return {"x": asked.apply_rotary_cached(*given, **_rotation_options(case))}


def _run_model(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    """Go the whole way: config, rope, spectrum, rotation."""
    rope = asked.from_transformers(case.options["config"])
    spectrum = asked.spectrum(rope, case.options["seq_len"])
    given = (arrays["q"], arrays["k"], arrays["position_ids"], spectrum)
    options = {**_rotation_options(case, "angles"), "layout": rope.layout}
    q, k = asked.apply_rotary_qk(*given, **options)
    return {"q": q, "k": k}


def _run_permutation(
    case: Case, arrays: dict[str, Array], asked: Implementation
) -> dict[str, Array]:
    function = getattr(asked, case.op)
    rotary_dim, axis = case.options["rotary_dim"], case.options["axis"]
    return {"x": function(arrays["x"], rotary_dim, axis=axis)}


def _run_refused(case: Case, arrays: dict[str, Array], asked: Implementation) -> dict[str, Array]:
    """Ask what must be refused; the answer is whether the named error was raised."""
    errors = {"TypeError": TypeError, "ValueError": ValueError}
    try:
        _RUNNERS[case.options["call"]](case, arrays, asked)
    except (TypeError, ValueError) as error:
        return {"refused": np.array([isinstance(error, errors[case.options["error"]])])}
    return {"refused": np.array([False])}


_RUNNERS: Mapping[str, Callable[[Case, dict[str, Array], Implementation], dict[str, Array]]] = {
    "spectrum": _run_spectrum,
    "from_transformers": _run_config,
    "turns": _run_turns,
    "exact_phases": _run_phases,
    "cos_sin": _run_cos_sin,
    "apply_rotary": _run_rotary,
    "apply_rotary_qk": _run_qk,
    "apply_rotary_cached": _run_cached,
    "model": _run_model,
    "refused": _run_refused,
    "to_half": _run_permutation,
    "to_interleaved": _run_permutation,
}
