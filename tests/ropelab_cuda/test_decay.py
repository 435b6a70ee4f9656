"""xPos far from its centre, where its factor leaves float's range: on the CPU, against float64.

The specification scales float64 numbers, whose range is enough for whatever here is rounded.
"""

from __future__ import annotations

from itertools import product
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels
from ropelab.precision import eps, format_name, narrow, widen
from ropelab_cuda.compile import Specialisation, source
from tests.shim.builder import library
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

LAYOUTS = ("half", "interleaved")
WIDTH, PAIRS = 20, 8  # channels, of which two a pair are rotated
SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(PAIRS) / PAIRS), attention_factor=1.25)
FASTEST = np.log2(3.5)  # binary powers of the first pair after as many tokens as the scale base
# In eps. bfloat16 rounds once, and float32 adds its noise. float32 rounds the cosine and sine, one
# product and its sum with the other, by half an eps each; what scales them is computed in float64.
BOUNDS = {"bfloat16": 0.51, "float32": 1.51}
LARGEST, LEAST_NORMAL = 2.0**127, 2.0**-126  # of both dtypes, the former within a factor of two
# Subnormal numbers lie so far apart, and each member of a pair is rounded by half of it: twice in
# float32, a product and its sum with the other; once in bfloat16, beside float32's noise.
STEPS = {"bfloat16": 2.0**-133, "float32": 2.0**-149}
OFF = {"bfloat16": 0.75 * STEPS["bfloat16"], "float32": 1.5 * STEPS["float32"]}

# Exponents of the first pair: on both sides of what cosines hold, and to where no number is left.
EXPONENTS = (3.7, 99.3, 99.7, 100.3, 101.2, 117.8, 151.0, 203.4, 251.0, 277.6, 299.5, 420.1)
POWERS = (-149, -126, -98, -60, -3, 0, 1, 40, 99, 126)  # one a head: of what its numbers are about

Array = NDArray[Any]


def heads_of_all_sizes(tokens: int, powers: tuple[int, ...], dtype: str, seed: int) -> Array:
    mantissas = np.random.default_rng(seed).uniform(0.5, 1.0, (tokens, len(powers), WIDTH))
    signs = np.random.default_rng(seed + 1).choice([-1.0, 1.0], mantissas.shape)
    return narrow(np.ldexp(mantissas * signs, np.array(powers)[:, None]), dtype)


def check(got: Array, want: Array, layout: str) -> dict[str, int]:
    """Compare rotated channels with float64's; count the pairs of each kind.

    Where the larger member of a pair leaves the dtype, it is infinite, and the other may be, too:
    both are made of the same products.

    Parameters
    ----------
    got, want : Array
        Rotated channels first; what is wanted is not rounded.
    layout : str
        Of both.

    Returns
    -------
    dict of str to int
        How many pairs are infinite, normal, subnormal or nothing.
    """
    dtype = format_name(got.dtype)
    channels = pair_channels(layout, 2 * PAIRS)
    (a, b), (x, y) = ([widen(side)[..., c] for c in channels] for side in (got, want))
    norm, largest = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y))
    within, beyond = norm < LARGEST, largest >= 2.0 * LARGEST
    with np.errstate(invalid="ignore"):
        error = np.hypot(a - x, b - y)
    assert (error[within] <= BOUNDS[dtype] * eps(dtype) * norm[within] + OFF[dtype]).all()
    assert np.isinf(np.where(np.abs(x) == largest, a, b)[beyond]).all()
    assert not np.isnan(a).any()
    assert not np.isnan(b).any()
    nothing = norm < STEPS[dtype] / 4.0
    assert not a[nothing].any()
    assert not b[nothing].any()
    normal = within & (norm >= LEAST_NORMAL)
    kinds = {"infinite": beyond, "normal": normal, "subnormal": within & ~normal & ~nothing}
    return {name: int(pairs.sum()) for name, pairs in (kinds | {"nothing": nothing}).items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("scale_base", [512.0, 7_654_321.5])
def test_numbers_of_all_sizes_at_all_distances(dtype: str, layout: str, scale_base: float) -> None:
    exponents = np.outer((1, -1), EXPONENTS).reshape(-1)
    last = 2**31 - 1
    centre = last - int(EXPONENTS[-1] * scale_base / FASTEST) - 2
    ids = centre + np.rint(exponents * scale_base / FASTEST).astype(np.int64)
    assert last - 8 <= ids.max() <= last
    q = heads_of_all_sizes(len(ids), POWERS, dtype, 5)
    k = heads_of_all_sizes(len(ids), POWERS[::3], dtype, 7)
    for inverse in (False, True):
        options: dict[str, Any] = {"scale_base": scale_base, "centre": centre, "inverse": inverse}
        options |= {"layout": layout, "tensor_format": "thd"}
        wanted = ropelab.apply_xpos_qk(widen(q), widen(k), ids, SPECTRUM, **options)
        outs = guarded(q.shape, q.dtype), guarded(k.shape, k.dtype)
        with on_cpu():
            ropelab_cuda.apply_xpos_qk(q, k, ids, SPECTRUM, out=outs, **options)
        for got, came, want in zip(outs, (q, k), wanted, strict=True):
            kinds = check(got, want, layout)
            assert min(kinds.values()) > 5
            assert kinds["normal"] > got[..., :PAIRS].size // 3
            assert got[..., 2 * PAIRS :].tobytes() == came[..., 2 * PAIRS :].tobytes()


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("on_device", [False, True])
def test_a_scale_brings_back_what_leaves_the_dtype(dtype: str, on_device: bool) -> None:
    """And takes away what stays in it; whatever it is, nothing is lost in between."""
    ids = np.rint(np.array([-219.0, -99.5, -1.0, 0.0, 62.0, 101.5, 248.0]) * 512 / FASTEST)
    q, k = (
        heads_of_all_sizes(7, powers, dtype, 9) for powers in ((-120, -3, 0, 5, 121), (-90, 100))
    )
    seen = dict.fromkeys(("infinite", "normal", "subnormal", "nothing"), 0)
    for power, layout in product((-125, -101, -31, 33, 97, 122), LAYOUTS):
        scales = np.ldexp(np.array([0.8, 1.7], np.float32), [power, -power])
        given = [scale.reshape(1) if on_device else float(scale) for scale in scales]
        options: dict[str, Any] = {"layout": layout, "tensor_format": "thd"}
        tokens = ids.astype(np.int64)
        wanted = ropelab.apply_xpos_qk(widen(q), widen(k), tokens, SPECTRUM, **options)
        outs = guarded(q.shape, q.dtype), guarded(k.shape, k.dtype)
        with on_cpu():
            told = {**options, "scale": tuple(given), "out": outs}
            ropelab_cuda.apply_xpos_qk(q, k, tokens, SPECTRUM, **told)
        for got, want, scale in zip(outs, wanted, scales, strict=True):
            for name, number in check(got, want / float(scale), layout).items():
                seen[name] += number
    assert min(seen.values()) > 50
    assert seen["normal"] > 1000


# How many tokens there are, what the plan is told of the device, and which variant that makes.
VARIANTS = {(3, 132): (1, 0), (60, 1): (0, 0), (61, 1): (0, 1)}


@pytest.mark.parametrize(("tokens", "multiprocessors"), VARIANTS)
def test_what_was_guessed_wrong_is_computed_anew(tokens: int, multiprocessors: int) -> None:
    """The guesses are spoiled in the kernel's text: positions of some tokens, or scales alone."""
    width = 40 if (tokens, multiprocessors) == (61, 1) else 2 * PAIRS
    q, k = (
        np.random.default_rng(heads).standard_normal((tokens, heads, width)).astype(np.float32)
        for heads in (9, 2)
    )
    ids = np.random.default_rng(1).integers(-30_000, 30_000, tokens)
    scales = np.array([0.3], np.float32), np.array([7.0], np.float32)
    wanted = ropelab.apply_xpos_qk(
        widen(q), widen(k), ids, SPECTRUM, tensor_format="thd", scale=(float(scales[0][0]), 7.0)
    )
    macros: list[dict[str, Any]] = []
    for spoiled in ("position.position += threadIdx.z == 0", "k_scale.on_device = 3.0f"):

        def misled(case: Specialisation, spoiled: str = spoiled) -> str:
            macros.append(dict(case.defines))
            text, looked = source(case), "  auto angle = angles_of();"
            assert text.count(looked) == 3
            return text.replace(looked, f"{looked} angle.{spoiled};")

        outs = guarded(q.shape, q.dtype), guarded(k.shape, k.dtype)
        with (
            on_cpu(),
            mock.patch("ropelab_cuda.work.MULTIPROCESSORS", multiprocessors),
            mock.patch("ropelab_cuda.tuning.MULTIPROCESSORS", multiprocessors),
            mock.patch("tests.shim.builder.library", library.__wrapped__),
            mock.patch("tests.shim.builder.source", misled),
        ):
            options: dict[str, Any] = {"tensor_format": "thd", "scale": scales, "out": outs}
            ropelab_cuda.apply_xpos_qk(q, k, ids, SPECTRUM, **options)
        for got, want in zip(outs, wanted, strict=True):
            kinds = check(got[..., : 2 * PAIRS], want[..., : 2 * PAIRS], "half")
            assert kinds["normal"] == got[..., :PAIRS].size
    few, loads_first = VARIANTS[tokens, multiprocessors]
    assert {(one["FEW_TOKENS"], one["LOADS_FIRST"]) for one in macros} == {(few, loads_first)}
    assert all(one["GUESSES"] for one in macros)
