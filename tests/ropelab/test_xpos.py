"""xPos against its authors' formula in 80 digits, and the centres of other implementations."""

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from ropelab import Rope, Spectrum, apply_rotary_qk, apply_xpos_qk
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen
from ropelab.xpos import xpos_scale
from tests.ropelab.support import DIGITS, bits, numbers, pair_norms, refuses

B, S, H, D = 2, 3, 4, 12
IDS = np.array([[0, 2047, 513], [1025, 4096, 77]])
SPECTRUM = Rope(D).spectrum()


def true_scale(distances: NDArray[np.int64], d: int, scale_base: float) -> NDArray[np.float64]:
    """Return ((i / (d/2) + 0.4) / 1.4) ** (distance / B), as the paper writes it, rounded once."""
    with mpmath.workdps(DIGITS):
        gamma = mpmath.mpf(4) / 10
        zeta = [(mpmath.mpf(i) / (d // 2) + gamma) / (1 + gamma) for i in range(d // 2)]
        values = [
            [float(z ** (mpmath.mpf(int(n)) / mpmath.mpf(scale_base))) for z in zeta]
            for n in distances.ravel()
        ]
    return np.reshape(values, (*distances.shape, d // 2))


@pytest.mark.parametrize("scale_base", [512.0, 300.5, 7.0])
@pytest.mark.parametrize("centre", [0, 1024, -333])
def test_the_scale_is_the_papers(scale_base: float, centre: int) -> None:
    away = np.array([0, 1, -1, 19, -77, 801])
    got = xpos_scale(away + centre, D, scale_base=scale_base, centre=centre)
    exponent = np.abs(away / scale_base)[:, np.newaxis]
    # Base and exponent round by half an ulp each, which the power multiplies; itself, one ulp.
    allowed = (1 + exponent * (0.5 + 0.63)) * eps("float64")
    truth = true_scale(away, D, scale_base)
    assert (np.abs(got / truth - 1) <= allowed + eps("float64")).all()


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_queries_are_multiplied_and_keys_divided(dtype: str, layout: str) -> None:
    q, k = (narrow(numbers(B, S, H, D, seed=s), dtype) for s in (0, 1))
    options: dict[str, Any] = {"layout": layout}
    ours = apply_xpos_qk(q, k[:, :, :1], IDS, SPECTRUM, centre=1000, **options)
    plain = apply_rotary_qk(widen(q), widen(k[:, :, :1]), IDS, SPECTRUM, **options)
    scale = true_scale(IDS - 1000, D, 512.0)[:, :, np.newaxis, :]
    scale = np.concatenate([scale] * 2, -1) if layout == "half" else np.repeat(scale, 2, -1)
    for got, rotated, factor in zip(ours, plain, (scale, 1 / scale), strict=True):
        truth = rotated * factor
        error = np.abs(widen(got) - truth) / (pair_norms(rotated, layout) * factor)
        assert (error <= eps(dtype) / 2 + 12 * eps("float64")).all()


STORED = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", STORED[:4])
def test_results_in_another_format_and_over_scales(source: str, target: str, inverse: bool) -> None:
    q, k = (narrow(numbers(B, S, heads, D, seed=heads), source) for heads in (H, 1))
    spectrum, scales = Rope(8).spectrum(), (0.37, 3.0)
    options: dict[str, Any] = {"layout": "interleaved", "inverse": inverse}
    xpos: dict[str, Any] = {"centre": 1000, "scale_base": 8192.0}
    ours = apply_xpos_qk(q, k, IDS, spectrum, dtype=target, scale=scales, **xpos, **options)
    plain = apply_rotary_qk(widen(q), widen(k), IDS, spectrum, **options)
    decay = true_scale(IDS - 1000, 8, 8192.0)[:, :, np.newaxis]
    members = pair_channels("interleaved", 8)
    for got, x, rotated, factor, scale in zip(
        ours, (q, k), plain, (decay, 1 / decay), scales, strict=True
    ):
        assert got.dtype == narrow(np.zeros(1), target).dtype
        a, b = (widen(got)[..., :8][..., c] for c in members)
        true = [rotated[..., :8][..., c] * factor / scale for c in members]
        error = np.hypot(a - true[0], b - true[1])
        # Half a step for each member; or of the smallest numbers of eight bits, which have equal
        # steps. In steps of float64: both decays' roundings, and the quotient's.
        step = {"float8_e4m3fn": 2.0**-9, "float8_e5m2": 2.0**-16}.get(target, 0.0)
        allowed = (eps(target) / 2 + 13 * eps("float64")) * np.hypot(*true) + step / 2**0.5
        assert (error <= allowed).all()
        assert bits(got[..., 8:]) == bits(narrow(widen(x)[..., 8:] / scale, target))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_the_inverse_is_the_transpose(layout: str) -> None:
    """The products of a rotated tensor with any g are those of the tensor with g turned back."""
    options: dict[str, Any] = {"layout": layout, "centre": 1500, "scale_base": 301.5}
    spectrum = Spectrum(SPECTRUM.inv_freq, attention_factor=1.25)
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    grads = numbers(B, S, H, D, seed=2), numbers(B, S, 1, D, seed=3)
    there = apply_xpos_qk(q, k, IDS, spectrum, **options)
    back = apply_xpos_qk(*grads, IDS, spectrum, inverse=True, **options)
    for x, turned, g, gradient in zip((q, k), there, grads, back, strict=True):
        ahead, behind = turned * g, x * gradient
        if layout == "half":
            pairs = [side[..., :6] + side[..., 6:] for side in (ahead, behind)]
        else:
            pairs = [side[..., ::2] + side[..., 1::2] for side in (ahead, behind)]
        size = pair_norms(turned, layout) * pair_norms(g, layout)
        size = size[..., :6] if layout == "half" else size[..., ::2]
        assert (np.abs(pairs[0] - pairs[1]) <= 8 * eps("float64") * size).all()


def test_the_transpose_of_q_and_k_exchanged_undoes_both() -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    q_turned, k_turned = apply_xpos_qk(q, k, IDS, SPECTRUM)
    k_back, q_back = apply_xpos_qk(k_turned, q_turned, IDS, SPECTRUM, inverse=True)
    np.testing.assert_allclose(q_back, q, rtol=0, atol=1e-12)
    np.testing.assert_allclose(k_back, k, rtol=0, atol=1e-12)


def test_scores_decay_with_the_distance_and_do_not_depend_on_the_centre() -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    terms = []
    for centre in (0, 1024, 2100, -5):
        x, y = apply_xpos_qk(q, k, IDS, SPECTRUM, centre=centre)
        terms.append(x[:, :, np.newaxis] * y[:, np.newaxis])  # every query with every key
    sums = [term[..., :6] + term[..., 6:] for term in terms]
    x, y = apply_rotary_qk(q, k, IDS, SPECTRUM)
    plain = x[:, :, np.newaxis] * y[:, np.newaxis]
    between = IDS[:, :, np.newaxis] - IDS[:, np.newaxis]
    decay = true_scale(between, D, 512.0)[:, :, :, np.newaxis]
    size = (pair_norms(q, "half")[:, :, np.newaxis] * pair_norms(k, "half")[:, np.newaxis])[..., :6]
    for total in sums:
        wanted = (plain[..., :6] + plain[..., 6:]) * decay
        assert (np.abs(total - wanted) <= 40 * eps("float64") * size * decay).all()


@pytest.mark.parametrize("length", [8, 9])
def test_the_centres_of_other_implementations(length: int) -> None:
    # torchscale's XPOS raises to arange(min, ...) / 512 with min = -(length) // 2, whose minus
    # binds before the division; flash-attention's to (arange(length) - length // 2) / 512.
    torchscale, flash = -(-length // 2), length // 2
    for centre, powers in (
        (torchscale, np.arange(-length // 2, length + -length // 2)),
        (flash, np.arange(length) - length // 2),
    ):
        ours = xpos_scale(np.arange(length), D, centre=centre)
        zeta = (np.arange(0, D, 2) + 0.4 * D) / (1.4 * D)
        np.testing.assert_allclose(ours, zeta ** (powers / 512)[:, np.newaxis], rtol=4e-16)
    assert torchscale - flash == length % 2


def test_tokens_in_any_format_are_the_same() -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    truth = apply_xpos_qk(q, k, IDS, SPECTRUM, angles="float32")
    packed = apply_xpos_qk(
        q.reshape(-1, H, D),
        k.reshape(-1, 1, D),
        IDS.ravel(),
        SPECTRUM,
        angles="float32",
        tensor_format="thd",
    )
    assert [bits(x) for x in packed] == [bits(x) for x in truth]


def test_as_far_as_float64_reaches() -> None:
    near = np.log(2.0**1022) / np.log(3.5) * 512
    limit = int(near)
    assert np.isfinite(xpos_scale([limit, -limit], D)).all()
    for position in (limit + 2, -limit - 2, 2**62):
        with refuses(ValueError, "position_ids", str(abs(position))[:5]):
            xpos_scale([0, position], D)
    assert xpos_scale([limit + 2], D, centre=limit).shape == (1, 6)
    assert xpos_scale([], D).shape == (0, 6)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("q", None, TypeError),
        ("k", np.ones((B, S + 1, 1, D)), ValueError),
        ("position_ids", [0.0, 1.0, 2.0], TypeError),
        ("position_ids", [0, 0, 2**40], ValueError),
        ("spectrum", Rope(D), TypeError),
        ("spectrum", Spectrum(np.ones(6), axes=[0, 1, 0, 1, 0, 1]), ValueError),
        ("scale_base", 0.0, ValueError),
        ("scale_base", -512.0, ValueError),
        ("scale_base", np.nan, ValueError),
        ("scale_base", None, TypeError),
        ("centre", 0.5, TypeError),
        ("centre", 10**400, ValueError),
        ("layout", "gptj", ValueError),
        ("tensor_format", "dhsb", ValueError),
        ("angles", "float16", ValueError),
        ("inverse", 1, TypeError),
        ("dtype", "int8", TypeError),
        ("scale", 0.0, ValueError),
        ("scale", (1.0, 2.0, 3.0), ValueError),
        ("scale[1]", (1.0, -2.0), ValueError),
        ("scale[0]", ("1", 1.0), TypeError),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object, kind: type[Exception]) -> None:
    x = np.ones((B, S, 1, D))
    good = {"q": x, "k": x, "position_ids": IDS, "spectrum": SPECTRUM}
    with refuses(kind, name):
        apply_xpos_qk(**{**good, name.partition("[")[0]: value})  # type: ignore[arg-type]


def test_the_distance_is_exact_where_a_float64_skips_integers() -> None:
    distances = np.array([-101, -1, 0, 1, 100])
    near = xpos_scale(distances, D)
    assert xpos_scale(distances + 2**60, D, centre=2**60).tolist() == near.tolist()
    unsigned = distances.astype(np.uint64) + np.uint64(2**64 - 200)
    assert xpos_scale(unsigned, D, centre=2**64 - 200).tolist() == near.tolist()
    last = xpos_scale([2**63 - 1], D, scale_base=2.0**60)
    assert last.tolist() == xpos_scale([8], D, scale_base=1.0).tolist()
