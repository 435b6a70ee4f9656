"""What the oracle answers to a case: the expected arrays, one rounding from the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from . import oracle
from .case import DTYPES, Array, Case, bits_of, dtype_name

__all__ = ["attest"]

Index = tuple[int, ...]


def attest(case: Case) -> dict[str, Array]:
    """Return the expected arrays of a case, by name.

    Parameters
    ----------
    case : Case
        The question.

    Returns
    -------
    dict of str to ndarray
        Correctly rounded answers.
    """
    return _WITNESSES[case.op](case)


def _indices(shape: Index) -> list[Index]:
    return list(product(*(range(length) for length in shape)))


def _numbers(array: Array) -> dict[Index, Any]:
    values = oracle.from_bits(bits_of(array), dtype_name(array.dtype))
    return dict(zip(_indices(array.shape), values, strict=True))


def _rounded(values: list[Any], shape: Index, dtype: str) -> Array:
    return oracle.rounded(values, dtype).view(DTYPES[dtype]).reshape(shape)


def _frequencies(case: Case) -> dict[str, Array]:
    card = case.options["rope"]
    speeds = oracle.frequencies(card, case.options["seq_len"])
    return {
        "inv_freq": _rounded(speeds, (len(speeds),), "float64"),
        "factors": np.ones(2),  # no rule attested so far scales cos, sin or the softmax
    }


def _config(case: Case) -> dict[str, Array]:
    card = case.options["rope"]
    shape = (card["head_dim"], card["rotary_dim"], card["layout"] == "interleaved")
    return {**_frequencies(case), "geometry": np.array(shape, np.int64)}


def _turns(case: Case) -> dict[str, Array]:
    return {"turns": np.array(oracle.turns(case.arguments["inv_freq"].tolist()), np.uint64)}


def _position(positions: Array, index: Index, axes: list[int], pair: int) -> int:
    if max(axes):
        positions = positions[axes[pair]]
    # NumPy's broadcasting, spelled out: align at the right, lengths of one repeat.
    trailing = index[len(index) - positions.ndim :]
    place = tuple(0 if n == 1 else i for i, n in zip(trailing, positions.shape, strict=True))
    return int(positions[place])


def _phases(case: Case) -> dict[str, Array]:
    positions, speeds = case.arguments["position_ids"], case.arguments["inv_freq"].tolist()
    words = [oracle.phases(int(m), speeds) for m in positions.ravel()]
    return {"phases": np.array(words, np.uint64).reshape(*positions.shape, len(speeds))}


def _cos_sin(case: Case) -> dict[str, Array]:
    positions, speeds = case.arguments["position_ids"], case.arguments["inv_freq"].tolist()
    factor, angles = case.options["attention_factor"], case.options["angles"]
    values = [
        oracle.cosines(int(m), speed, factor, angles) for m in positions.ravel() for speed in speeds
    ]
    shape, dtype = (*positions.shape, len(speeds)), case.options["dtype"]
    return {
        "cos": _rounded([z.real for z in values], shape, dtype),
        "sin": _rounded([z.imag for z in values], shape, dtype),
    }


def _rotate(case: Case, name: str, turn: dict[Index, list[Any]]) -> Array:
    array = case.arguments[name]
    words = {key: case.options[key] for key in ("layout", "tensor_format", "inverse")}
    moved = oracle.rotated(_numbers(array), array.shape, turn, **words)
    dtype = dtype_name(array.dtype)
    result = array.copy()
    bits = oracle.rounded(list(moved.values()), dtype).view(DTYPES[dtype])
    for index, value in zip(moved, bits, strict=True):
        result[index] = value
    return result


def _tokens(case: Case, name: str) -> list[Index]:
    """Return the indices of all tokens, (batch, sequence) or (token,), of a tensor."""
    axes, shape = case.options["tensor_format"], case.arguments[name].shape
    order = "t" if "t" in axes else "bs"
    return _indices(tuple(shape[axes.index(axis)] for axis in order))


def _turned(case: Case, name: str, speeds: list[float]) -> dict[Index, list[Any]]:
    positions = case.arguments["position_ids"]
    axes = case.arguments.get("axes", np.zeros(len(speeds), np.int64)).tolist()
    factor, angles = case.options.get("attention_factor", 1.0), case.options["angles"]
    return {
        token: [
            oracle.cosines(_position(positions, token, axes, i), speed, factor, angles)
            for i, speed in enumerate(speeds)
        ]
        for token in _tokens(case, name)
    }


def _rotary(case: Case) -> dict[str, Array]:
    speeds = case.arguments["inv_freq"].tolist()
    return _each(case, speeds)


def _model(case: Case) -> dict[str, Array]:
    speeds = _frequencies(case)["inv_freq"].tolist()
    return _each(case, speeds)


def _each(case: Case, speeds: list[float]) -> dict[str, Array]:
    names = [name for name in ("x", "q", "k") if name in case.arguments]
    turn = _turned(case, names[0], speeds)
    return {name: _rotate(case, name, turn) for name in names}


def _cached(case: Case) -> dict[str, Array]:
    cos, sin = (_numbers(case.arguments[name]) for name in ("cos", "sin"))
    pairs = range(case.arguments["cos"].shape[-1])
    turn = {
        token: [cos[(*token, i)] + 1j * sin[(*token, i)] for i in pairs]
        for token in _tokens(case, "x")
    }
    return {"x": _rotate(case, "x", turn)}


def _permutation(case: Case) -> dict[str, Array]:
    source, target = ("interleaved", "half") if case.op == "to_half" else ("half", "interleaved")
    array, axis = case.arguments["x"], case.options["axis"]
    width = case.options["rotary_dim"] or array.shape[axis]
    order = oracle.permuted(array.shape[axis], width, source, target)
    return {"x": np.take(array, order, axis=axis)}


def _refused(_: Case) -> dict[str, Array]:
    return {"refused": np.array([True])}


_WITNESSES: Mapping[str, Callable[[Case], dict[str, Array]]] = {
    "spectrum": _frequencies,
    "from_transformers": _config,
    "turns": _turns,
    "exact_phases": _phases,
    "cos_sin": _cos_sin,
    "apply_rotary": _rotary,
    "apply_rotary_qk": _rotary,
    "apply_rotary_cached": _cached,
    "model": _model,
    "refused": _refused,
    "to_half": _permutation,
    "to_interleaved": _permutation,
}
