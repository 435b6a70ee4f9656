"""Queries and keys that are normed and then rotated, in the orders of three models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import ceil, log2
from typing import Any

import numpy as np

from ...precision import narrow, widen
from ..case import DTYPES, Array, Case, Tolerance
from ..inputs import tensor
from .common import LAYOUTS
from .refusal import refused
from .rotation import rotation

__all__ = ["cases"]

QWEN: dict[str, Any] = {"eps": 1e-6}
GEMMA: dict[str, Any] = {"eps": 1e-6, "weight_offset": 1.0}
OLMO: dict[str, Any] = {"eps": 1e-5, "across_heads": True}
# Where the numbers are as large as the root of it, eps decides as much as they do.
_MUCH = 0.25
_SHAPE, _KEY_HEADS = (1, 2, 3), 2


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By model, layout and dtype, then what else may vary, then bad input.
    """
    for (model, norm), layout, dtype in product(
        (("qwen3", QWEN), ("gemma3", GEMMA), ("olmo2", OLMO)), LAYOUTS, DTYPES
    ):
        path, told = f"norm/{model}/{layout}", {**norm, "layout": layout}
        yield _case(path, dtype, **told)
        yield _case(f"{path}/partial", dtype, rope="partial", **told)
    for dtype in DTYPES:
        yield from _places(dtype)
        yield from _magnitudes(dtype)
        for weight in DTYPES:
            yield _case(f"norm/weight-{weight}", dtype, weight_dtype=weight, **GEMMA)
    yield from _stored()
    yield from _refusals()


def _places(dtype: str) -> Iterator[Case]:
    """Yield cases of other formats, layouts, channels, angles and weights."""
    for axes, shape in (("bhsd", (2, 2, 3)), ("sbhd", (2, 2, 3)), ("thd", (3, 4))):
        for model, norm in (("qwen3", QWEN), ("olmo2", OLMO)):
            told = {**norm, "tensor_format": axes, "shape": shape}
            yield _case(f"norm/{axes}/{model}", dtype, **told)
    for source, target in (LAYOUTS, LAYOUTS[::-1]):
        told = {**GEMMA, "layout": source, "output_layout": target, "rope": "partial"}
        yield _case(f"norm/{source}-to-{target}", dtype, rotary_offset=5, **told)
        yield _case(f"norm/{source}-to-{target}/olmo2", dtype, **{**told, **OLMO})
    yield _case("norm/float32-angles", dtype, angles="float32", factor=1.25, **QWEN)
    for norm in (QWEN, OLMO):
        model = "across" if norm is OLMO else "each"
        bare = ("q_weight", "k_weight")
        yield _case(f"norm/no-weight/{model}", dtype, without=bare, **{**GEMMA, **norm})
        yield _case(f"norm/no-k-weight/{model}", dtype, without=bare[1:], **norm)
    yield _case("norm/flat-weight", dtype, flat=True, **OLMO)


def _magnitudes(dtype: str) -> Iterator[Case]:
    """Yield cases where eps decides, where it is nothing, and where squares leave the format."""
    for norm in (QWEN, OLMO):
        model = "across" if norm is OLMO else "each"
        told = {**norm, "eps": _MUCH}
        yield _case(f"norm/much-eps/{model}", dtype, power=-1, **told)
        yield _case(f"norm/no-eps/{model}", dtype, **{**norm, "eps": 0.0})
        # A float16 may be 65504, whose square it does not hold. Of 2**-100 float32 does not
        # either: the mean is then eps alone, as it is after rounding if it is exact.
        far, near = (15, -14) if dtype == "float16" else (40, -100)
        yield _case(f"norm/large/{model}", dtype, power=far, **norm)
        yield _case(f"norm/tiny/{model}", dtype, power=near, **norm)
        yield _case(f"norm/zeros/{model}", dtype, zeros=True, **norm)


def _stored() -> Iterator[Case]:
    """Yield results in another format, and over a scale for queries and one for keys."""
    told: dict[str, Any] = {"stored": "float8_e4m3fn", "scale": [0.36787944117144233, 0.011]}
    told |= {"rope": "partial", "rotary_offset": 5, "output_layout": "interleaved"}
    yield _case("norm/stored/float8_e4m3fn", "bfloat16", **told, **QWEN)
    told = {"stored": "float8_e5m2", "scale": [0.5, 6_000.0], "weight_dtype": "float32"}
    yield _case("norm/stored/float8_e5m2", "float64", rope="partial", **told, **OLMO)
    yield _case("norm/stored/bfloat16", "float32", stored="bfloat16", **GEMMA)
    told = {"stored": "float32", "scale": 0.36787944117144233}
    yield _case("norm/stored/float32", "float16", rope="partial", **told, **OLMO)


def _case(
    path: str,
    dtype: str,
    *,
    eps: float = 1e-6,
    weight_offset: float = 0.0,
    across_heads: bool = False,
    weight_dtype: str | None = None,
    without: tuple[str, ...] = (),
    flat: bool = False,
    power: int = 0,
    zeros: bool = False,
    **told: Any,
) -> Case:
    """Return a case: the rotation of the same arguments, with its norm."""
    told = {"shape": _SHAPE, "heads_k": _KEY_HEADS, **told}
    case = rotation(path, dtype, flags=("Norm",), **told)
    arrays = dict(case.arguments)
    head_dim, largest = arrays["q"].shape[-1], 0
    for seed, name in ((3, "q"), (4, "k")):
        x = narrow(np.ldexp(widen(arrays[name]), power), dtype)
        heads = x.shape[case.options["tensor_format"].index("h")]
        if zeros:
            x[:, 0] = 0  # all heads of a token, or of one head
            x[:, 1, 0] = 0
        shape = (heads, head_dim) if across_heads and not flat else (-1,)
        weight = tensor((head_dim * (heads if across_heads else 1),), weight_dtype or dtype, seed)
        arrays[name], largest = x, max(largest, weight.size)
        if f"{name}_weight" not in without:
            arrays[f"{name}_weight"] = weight.reshape(shape)
    options = {key: value for key, value in case.options.items() if key != "inverse"}
    options |= {"eps": eps, "weight_offset": weight_offset, "across_heads": across_heads}
    return replace(
        case,
        op="apply_norm_rotary_qk",
        arguments=arrays,
        options=options,
        tolerance=_bound(case.tolerance, largest),
    )


def _bound(rotated: Tolerance, count: int) -> Tolerance:
    """Widen the bound of a rotation by what the norm of that many channels adds."""
    depth = 8 + ceil(log2(max(count / 8, 1)))
    # In halves of an eps, of which a root takes half: the sum; then mean, eps, root and division,
    # the products with x and with the weight, and the weight's own sum.
    extra = ((depth + 1) / 2 + 1 + 2 + 1 + 1 + 1) / 2
    if rotated.unit not in ("float64", "float32"):
        why = f"{rotated.why}; the norm adds {extra:.3g} eps of float32"
        return replace(rotated, why=why)
    why = (
        f"{rotated.why}; channels outside by the same measure; the norm {extra:.3g}: half of a sum "
        f"of squares by eights and then by twos, {depth} roundings deep, and six operations"
    )
    return replace(rotated, bound=float(f"{rotated.bound + extra:.4g}"), why=why)


def _refusals() -> Iterator[Case]:
    good = _case("norm/good", "float32", **QWEN)
    both = _case("norm/good", "float32", **OLMO)
    k = good.arguments["k"]
    narrow_one: dict[str, Array] = {"q_weight": tensor((15,), "float32")}
    of_one_head: dict[str, Array] = {"q_weight": tensor((16,), "float32")}
    swapped = {
        "q_weight": both.arguments["k_weight"],
        "k_weight": both.arguments["q_weight"],
    }
    for name, case, error, arrays, options in (
        ("weight-shape", good, "ValueError", narrow_one, {}),
        ("weight-of-one-head", both, "ValueError", of_one_head, {}),
        ("weight-of-all-heads", good, "ValueError", dict(both.arguments), {}),
        ("weights-swapped", both, "ValueError", swapped, {}),
        ("weight-transposed", both, "ValueError", {"q_weight": np.ones((16, 3), "f4")}, {}),
        ("weight-of-integers", good, "TypeError", {"k_weight": np.ones(16, np.int32)}, {}),
        ("negative-eps", good, "ValueError", {}, {"eps": -1e-6}),
        ("nan-eps", good, "ValueError", {"eps": np.array(np.nan)}, {}),
        ("infinite-eps", good, "ValueError", {"eps": np.array(np.inf)}, {}),
        ("eps-is-text", good, "TypeError", {}, {"eps": "1e-6"}),
        ("nan-offset", good, "ValueError", {"weight_offset": np.array(np.nan)}, {}),
        ("offset-is-flag", good, "TypeError", {}, {"weight_offset": True}),
        ("across-is-number", good, "TypeError", {}, {"across_heads": 1}),
        ("other-tokens", good, "ValueError", {"k": np.repeat(k, 2, axis=1)}, {}),
        ("unknown-layout", good, "ValueError", {}, {"layout": "neox"}),
    ):
        told = {**case.options, **options}
        given = {**case.arguments, **arrays}
        yield refused(f"norm-{name}", "apply_norm_rotary_qk", error, told, given)
