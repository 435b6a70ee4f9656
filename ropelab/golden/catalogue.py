"""The case definitions. An id, once given, belongs to its case for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from . import tolerances
from .attest import attest
from .case import DTYPES, Array, Case
from .inputs import GRID, one_hot, positions, tensor
from .refusals import refusals
from .ropes import CARDS, CONFIGS, LENGTHS, SMALL

__all__ = ["catalogue"]

LAYOUTS = ("half", "interleaved")
ANGLES = ("exact", "float32")
EVERYWHERE = ("HalfPrecisionTables", "LargeAngle", "TableEnd", "ShortPromptOnly")


def catalogue() -> list[Case]:
    """Return every case that the code defines.

    Returns
    -------
    list of Case
        With distinct ids.

    Raises
    ------
    ValueError
        If two cases claim one id.
    """
    families = (_spectra, _configs, _phases, _cos_sin, _rotary, _models, _permutations, refusals)
    cases = [case for family in families for case in family()]
    ids = [case.id for case in cases]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        msg = f"golden ids must be distinct; repeated: {', '.join(twice)}"
        raise ValueError(msg)
    return cases


@cache
def _inv_freq(rope: str) -> Array:
    """Return a small rope's frequencies, attested: the spectrum as an input of rotations."""
    return attest(_spectrum_case(rope, SMALL[rope], None))["inv_freq"]


def _spectrum_case(name: str, card: Mapping[str, Any], seq_len: int | None) -> Case:
    length = "" if seq_len is None else f"/L{seq_len}"
    bound = tolerances.frequencies(card["rope_type"])
    flags = ["FrequencyRule"]
    flags += ["PartialWidth"] if card["rotary_dim"] < card["head_dim"] else []
    flags += ["LengthSwitch"] if card["rope_type"] == "dynamic" else []
    options = {"rope": dict(card), "seq_len": seq_len}
    return Case(f"spectrum/{name}{length}", "spectrum", {}, options, bound, tuple(flags))


def _spectra() -> Iterator[Case]:
    for name, card in CARDS.items():
        for seq_len in LENGTHS.get(name, (None,)):
            yield _spectrum_case(name, card, seq_len)
    for name in SMALL:
        arrays = {"inv_freq": _inv_freq(name)}
        yield Case(f"turns/{name}", "turns", arrays, {}, tolerances.equal(), ("LargeAngle",))
    odd = np.array([0.0, 5e-324, 1e-300, 2.0**-64, 6.283185307179586, 1e6, 1e300, -1.0])
    yield Case("turns/extremes", "turns", {"inv_freq": odd}, {}, tolerances.equal(), ())


def _configs() -> Iterator[Case]:
    for name, (card_name, config) in CONFIGS.items():
        options = {"config": config, "rope": dict(CARDS[card_name]), "seq_len": None}
        bound = tolerances.frequencies(CARDS[card_name]["rope_type"])
        flags = ("ConfigKeys", "FrequencyRule")
        yield Case(f"config/{name}", "from_transformers", {}, options, bound, flags)


def _phases() -> Iterator[Case]:
    for name in SMALL:
        for form, flags in (
            ("grid", EVERYWHERE),
            ("negative", ("LargeAngle",)),
            ("uint8", ("PositionValues",)),
        ):
            ids = positions(form, 1, len(GRID))
            arrays = {"position_ids": ids, "inv_freq": _inv_freq(name)}
            bound = tolerances.equal()
            yield Case(f"phases/{name}/{form}", "exact_phases", arrays, {}, bound, flags)


def _cos_sin() -> Iterator[Case]:
    ropes = ("default", "llama3")
    for name, angles, dtype, factor in product(ropes, ANGLES, DTYPES, (1.0, 1.1386294361119891)):
        arrays = {"position_ids": positions("grid", 1, len(GRID)), "inv_freq": _inv_freq(name)}
        options = {"angles": angles, "dtype": dtype, "attention_factor": factor}
        scaled = "" if factor == 1.0 else "/scaled"
        flags = EVERYWHERE if factor == 1.0 else ("Amplitude",)
        bound = tolerances.pair(dtype, angles, GRID[-1])
        yield Case(
            f"cos_sin/{name}/{angles}/{dtype}{scaled}", "cos_sin", arrays, options, bound, flags
        )


def _rotation(
    path: str,
    dtype: str,
    *,
    flags: tuple[str, ...],
    rope: str = "default",
    shape: tuple[int, ...] = (2, 3, 5),
    heads_k: int | None = None,
    form: str = "shuffled",
    layout: str = "half",
    tensor_format: str = "bshd",
    angles: str = "exact",
    inverse: bool = False,
    factor: float = 1.0,
    arrays: Mapping[str, Array] | None = None,
) -> Case:
    """Return a rotation case; `shape` is (batch, sequence, heads) or (tokens, heads)."""
    head_dim = SMALL[rope]["head_dim"]
    letters = dict(zip("bsh" if len(shape) == 3 else "th", shape, strict=True))

    def shaped(heads: int) -> tuple[int, ...]:
        return tuple({**letters, "h": heads, "d": head_dim}[axis] for axis in tensor_format)

    batch, sequence = (shape[0], shape[1]) if len(shape) == 3 else (1, shape[0])
    ids = positions(form, batch, sequence)
    ids = ids.reshape(sequence) if len(shape) == 2 and ids.size == sequence else ids
    given: dict[str, Array] = {"position_ids": ids, "inv_freq": _inv_freq(rope)}
    if heads_k is None:
        op, given["x"] = "apply_rotary", tensor(shaped(shape[-1]), dtype)
    else:
        op, given["q"] = "apply_rotary_qk", tensor(shaped(shape[-1]), dtype)
        given["k"] = tensor(shaped(heads_k), dtype, seed=2)
    options = {
        "layout": layout,
        "tensor_format": tensor_format,
        "angles": angles,
        "inverse": inverse,
        "attention_factor": factor,
    }
    given |= arrays or {}
    farthest = int(np.abs(given["position_ids"].astype(np.int64)).max())
    bound = tolerances.pair(dtype, angles, farthest)
    return Case(f"{path}/{dtype}", op, given, options, bound, flags)


FORMS = {
    "shuffled": "PositionValues",
    "repeated": "PositionValues",
    "offset": "Offset",
    "negative": "LargeAngle",
    "row": "PositionValues",
    "column": "Indexing",
    "scalar": "Indexing",
    "int32": "TableEnd",
    "int16": "PositionValues",
    "uint8": "PositionValues",
}


def _rotary() -> Iterator[Case]:
    for layout, dtype in product(LAYOUTS, DTYPES):
        same: dict[str, Any] = {"layout": layout}
        for angles, inverse in product(ANGLES, (False, True)):
            path = f"rotary/grid/{layout}/{angles}/{'inverse' if inverse else 'forward'}"
            flags = (*EVERYWHERE, "Pairing", *(("InverseOrInPlace",) if inverse else ()))
            options = {**same, "angles": angles, "inverse": inverse}
            yield _rotation(path, dtype, flags=flags, shape=(1, 17, 3), form="grid", **options)
        for axes in ("bhsd", "sbhd"):
            path, flags = f"rotary/{axes}/{layout}", ("Indexing", "PositionValues")
            yield _rotation(path, dtype, flags=flags, tensor_format=axes, **same)
        path = f"rotary/thd/{layout}"
        options = {**same, "shape": (7, 3), "tensor_format": "thd"}
        yield _rotation(path, dtype, flags=("Offset", "Indexing"), **options)
        for form, flag in FORMS.items():
            yield _rotation(f"rotary/{form}/{layout}", dtype, flags=(flag,), form=form, **same)
        path = f"rotary/partial/{layout}"
        yield _rotation(path, dtype, flags=("PartialWidth", "Pairing"), rope="partial", **same)
        for rope in ("linear", "ntk_alpha", "llama3"):
            yield _rotation(f"rotary/{rope}/{layout}", dtype, flags=("Pairing",), rope=rope, **same)
        for inverse in (False, True):
            path = f"rotary/scaled/{layout}/{'inverse' if inverse else 'forward'}"
            options = {**same, "factor": 1.2772588722239781, "inverse": inverse}
            yield _rotation(path, dtype, flags=("Amplitude", "InverseOrInPlace"), **options)
        yield _rotation(
            f"rotary/decode/{layout}",
            dtype,
            flags=("Indexing",),
            shape=(5, 1, 3),
            form="offset",
            **same,
        )
        for heads_k in (1, 2, 6):
            path = f"qk/{heads_k}-of-6/{layout}"
            options = {**same, "shape": (2, 3, 6), "heads_k": heads_k}
            yield _rotation(path, dtype, flags=("Indexing", "Pairing"), **options)
        yield from _witnesses(layout, dtype)


def _witnesses(layout: str, dtype: str) -> Iterator[Case]:
    """Yield unit vectors, many position axes, and given tables."""
    for rope in ("default", "partial"):
        x = one_hot(SMALL[rope]["head_dim"], dtype)
        path, extra = f"rotary/one-hot-{rope}/{layout}", {"x": x}
        options: dict[str, Any] = {"rope": rope, "shape": (1, 1, 1), "form": "scalar"}
        flags = ("Pairing", "PartialWidth")
        yield _rotation(path, dtype, flags=flags, layout=layout, arrays=extra, **options)
    for order, axes in (("chunked", [0, 0, 1, 1, 1, 2, 2, 2]), ("woven", [0, 1, 2, 0, 1, 2, 0, 0])):
        ids = np.stack([positions(form, 2, 3) for form in ("offset", "shuffled", "repeated")])
        extra = {"position_ids": ids, "axes": np.array(axes, np.int64)}
        path = f"rotary/axes-{order}/{layout}"
        yield _rotation(path, dtype, flags=("Axes",), layout=layout, arrays=extra)
    source = _rotation("table", dtype, flags=(), layout=layout)
    options = {"angles": "exact", "dtype": "float32", "attention_factor": 1.0}
    arrays = {name: source.arguments[name] for name in ("position_ids", "inv_freq")}
    tables = attest(Case("table", "cos_sin", arrays, options, source.tolerance))
    yield Case(
        f"cached/{layout}/{dtype}",
        "apply_rotary_cached",
        {"x": source.arguments["x"], **tables},
        {key: source.options[key] for key in ("layout", "tensor_format", "inverse")},
        tolerances.pair(dtype, "exact"),
        ("Pairing", "StaleState"),
    )


def _models() -> Iterator[Case]:
    """From config to rotated tensors, at lengths where every rule shows."""
    llamas = ("llama-3.1-8b-type", "llama-3.1-8b-new", "llama-3.2-1b", "llama-2-7b-32k")
    names = (*llamas, "dynamic-2", "hunyuan", "gpt-neox-20b", "gpt-j-6b")
    for name, dtype, angles in product(names, DTYPES, ANGLES):
        if angles == "float32" and name not in ("llama-3.1-8b-new", "gpt-j-6b"):
            continue
        card_name, config = CONFIGS[name]
        card = CARDS[card_name]
        ids = np.array([[8191, 3], [4097, 1000]], np.int64)
        arrays = {
            "q": tensor((2, 2, 3, card["head_dim"]), dtype, seed=3),
            "k": tensor((2, 2, 1, card["head_dim"]), dtype, seed=4),
            "position_ids": ids,
        }
        options = {
            "config": config,
            "rope": dict(card),
            "seq_len": 8192,
            "layout": card["layout"],
            "tensor_format": "bshd",
            "angles": angles,
            "inverse": False,
        }
        bound = tolerances.pair_through_frequencies(dtype, angles, ids.ravel().tolist(), 1.0)
        flags = ("ConfigKeys", "FrequencyRule", "LengthSwitch", "PartialWidth", "StaleState")
        yield Case(f"model/{name}/{angles}/{dtype}", "model", arrays, options, bound, flags)


def _permutations() -> Iterator[Case]:
    for op, (path, shape, rotary_dim, axis) in product(
        ("to_half", "to_interleaved"),
        (
            ("whole", (2, 3, 10), None, -1),
            ("partial", (2, 3, 10), 6, -1),
            ("weight", (3, 8, 5), None, 1),
        ),
    ):
        arrays = {"x": tensor(shape, "bfloat16")}
        options = {"rotary_dim": rotary_dim, "axis": axis}
        yield Case(f"{op}/{path}", op, arrays, options, tolerances.equal(), ("Pairing",))
