"""Rotated tensors: by positions, by given tables, and all the way from a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import oracle
from ..case import STORED_DTYPES, Array, Case, dtype_name
from ..implementation import Implementation
from .base import (
    Answers,
    Index,
    Operation,
    given_spectrum,
    indices,
    numbers_of,
    position_at,
    rounded_to,
)
from .given_positions import given_positions, is_positioned, listed_positions, token_shape
from .spectra import attested_spectrum

__all__ = ["OPERATIONS", "scale_of", "turns"]

_WORDS = ("layout", "tensor_format", "inverse")
_OPTIONAL = ("output_layout", "rotary_offset")
_STORAGE = ("dtype", "scale")
_XPOS = ("scale_base", "centre")
_TABLES = ("repeated", "overrun")


def _options(case: Case, *names: str) -> dict[str, Any]:
    extra = [name for name in _OPTIONAL if name in case.options]
    return {name: case.options[name] for name in (*_WORDS, *names, *extra)}


def _storage(case: Case) -> dict[str, Any]:
    return {name: case.options[name] for name in _STORAGE if name in case.options}


def _ask_rotary(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    given = (arrays["x"], given_positions(case, arrays, asked), given_spectrum(case, arrays))
    return {"x": asked.apply_rotary(*given, **_options(case, "angles"), **_storage(case))}


def _ask_qk(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    ids = given_positions(case, arrays, asked)
    given = (arrays["q"], arrays["k"], ids, given_spectrum(case, arrays))
    q, k = asked.apply_rotary_qk(*given, **_options(case, "angles"), **_storage(case))
    return {"q": q, "k": k}


def _ask_xpos(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    ids = given_positions(case, arrays, asked)
    given = (arrays["q"], arrays["k"], ids, given_spectrum(case, arrays))
    names = ["layout", "tensor_format", "angles", *_XPOS]
    names += ["inverse"] if case.options.get("inverse") else []  # where asked for alone
    told = {name: case.options[name] for name in names} | _storage(case)
    q, k = asked.apply_xpos_qk(*given, **told)
    return {"q": q, "k": k}


def _ask_cached(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    given = (arrays["x"], arrays["cos"], arrays["sin"])
    told = _options(case, *(name for name in _TABLES if name in case.options))
    if is_positioned(case):
        told["position_ids"] = given_positions(case, arrays, asked)
    return {"x": asked.apply_rotary_cached(*given, **told, **_storage(case))}


def _ask_model(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    """Go the whole way: config, rope, spectrum, rotation."""
    rope = asked.from_transformers(case.options["config"])
    spectrum = asked.spectrum(rope, case.options["seq_len"])
    given = (arrays["q"], arrays["k"], arrays["position_ids"], spectrum)
    options = _options(case, "angles")
    own = {name: getattr(rope, name) for name in ("layout", *_OPTIONAL) if name in options}
    q, k = asked.apply_rotary_qk(*given, **{**options, **own})
    return {"q": q, "k": k}


def _attest_rotary(case: Case) -> Answers:
    return _each(case, case.arguments)


def _attest_xpos(case: Case) -> Answers:
    turn, base = turns(case, "q", case.arguments), case.options["scale_base"]
    ids = listed_positions(case)
    told = replace(case, options={"inverse": False, **case.options})
    answers = {}
    for name, sign in (("q", 1), ("k", -1)):
        scaled = {}
        for token, factors in turn.items():
            m = position_at(ids, token) - case.options["centre"]
            pairs = range(len(factors))
            scaled[token] = [factors[i] * oracle.xpos(sign * m, i, len(pairs), base) for i in pairs]
        answers[name] = _rotated(told, name, scaled)
    return answers


def _attest_model(case: Case) -> Answers:
    return _each(case, attested_spectrum(case.options["rope"], case.options["seq_len"]))


def _attest_cached(case: Case) -> Answers:
    cos, sin = (numbers_of(case.arguments[name]) for name in ("cos", "sin"))
    length, width = case.arguments["cos"].shape[-2:]
    columns = _first_columns(case, width)
    ids = listed_positions(case) if is_positioned(case) else None

    def row(token: Index) -> Index:
        if ids is None:
            return token
        m = position_at(ids, token)
        return (0 if m < 0 else length - 1 if m >= length else m,)

    turn = {
        token: [cos[(*row(token), i)] + 1j * sin[(*row(token), i)] for i in columns]
        for token in _tokens(case, "x")
    }
    return {"x": _rotated(case, "x", turn)}


def _first_columns(case: Case, width: int) -> list[int]:
    """Return the columns of a table that are read, one a pair."""
    if not case.options.get("repeated", False):
        return list(range(width))
    layout = case.options.get("output_layout") or case.options["layout"]
    return [oracle.pair(layout, width, i)[0] for i in range(width // 2)]


def _each(case: Case, spectrum: Mapping[str, Array]) -> Answers:
    names = [name for name in ("x", "q", "k") if name in case.arguments]
    turn = turns(case, names[0], spectrum)
    return {name: _rotated(case, name, turn) for name in names}


def _tokens(case: Case, name: str) -> list[Index]:
    """Return the indices of all tokens, (batch, sequence) or (token,), of a tensor."""
    return indices(token_shape(case, name))


def turns(case: Case, name: str, spectrum: Mapping[str, Array]) -> dict[Index, list[Any]]:
    """Return the complex factor of every pair of every token."""
    positions, speeds = listed_positions(case), spectrum["inv_freq"].tolist()
    nothing = np.zeros(len(speeds), np.int64)
    axes = spectrum.get("axes", nothing).tolist()
    periods = spectrum.get("periods", nothing).tolist()
    factor = case.options.get("attention_factor", 1.0)
    if "factors" in spectrum:
        factor = float(spectrum["factors"][0])

    def _turned(token: Index, pair: int) -> Any:
        m = position_at(positions, token, axes[pair] if max(axes) else None)
        m = m % periods[pair] if periods[pair] else m
        return oracle.cosines(m, speeds[pair], factor, case.options["angles"])

    return {
        token: [_turned(token, pair) for pair in range(len(speeds))]
        for token in _tokens(case, name)
    }


def scale_of(case: Case, name: str) -> Any:
    """Return what is divided by in what is stored of a tensor; 1 if nothing is said."""
    scale = case.options.get("scale", 1.0)
    return oracle.exactly(scale[name == "k"] if isinstance(scale, (list, tuple)) else scale)


def _rotated(case: Case, name: str, turn: dict[Index, list[Any]]) -> Array:
    array = case.arguments[name]
    moved = oracle.rotated(numbers_of(array), array.shape, turn, **_options(case))
    dtype = case.options.get("dtype", dtype_name(array.dtype))
    if not _storage(case):
        result = array.copy()
        bits = oracle.rounded(list(moved.values()), dtype).view(STORED_DTYPES[dtype])
        for index, value in zip(moved, bits, strict=True):
            result[index] = value
        return result
    by = scale_of(case, name)
    every = {**numbers_of(array), **moved}
    return rounded_to([number / by for number in every.values()], array.shape, dtype)


OPERATIONS = {
    "apply_rotary": Operation(_ask_rotary, _attest_rotary),
    "apply_rotary_qk": Operation(_ask_qk, _attest_rotary),
    "apply_xpos_qk": Operation(_ask_xpos, _attest_xpos),
    "apply_rotary_cached": Operation(_ask_cached, _attest_cached),
    "model": Operation(_ask_model, _attest_model),
}
