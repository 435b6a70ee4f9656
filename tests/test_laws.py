"""What holds of every rotation, whatever its numbers."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from ropelab import (
    Rope,
    Spectrum,
    apply_rotary,
    apply_xpos_qk,
    exact_phases,
    to_half,
    to_interleaved,
)
from ropelab.precision import eps, narrow, widen
from tests.ropelab.support import bits, turn_rounding

LIMIT = 2**31 - 1
MORE = settings(max_examples=50, deadline=None)

layouts = st.sampled_from(["half", "interleaved"])
formats = st.sampled_from(["float64", "float32", "float16", "bfloat16"])
ids = st.integers(-LIMIT, LIMIT)
# Away from the ends of float16, where a norm would overflow or an eps would not be one.
channels = st.floats(2.0**-4, 2.0**8) | st.floats(-(2.0**8), -(2.0**-4))


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    half = draw(st.integers(1, 5))
    return Rope(2 * half, base=draw(st.floats(1.5, 1e7))).spectrum()


@st.composite
def cases(
    draw: st.DrawFn, tensors: int = 1
) -> tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]]:
    """Draw a spectrum, positions (B, S), and tensors (B, S, H, D) that share them."""
    spectrum = draw(spectra())
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    whole = (*shape, draw(st.integers(1, 2)), spectrum.rotary_dim)
    return (
        spectrum,
        draw(arrays(np.int64, shape, elements=ids)),
        [draw(arrays(np.float64, whole, elements=channels)) for _ in range(tensors)],
    )


def pairs(x: NDArray[Any], layout: str) -> NDArray[np.complex128]:
    """Return each pair as a complex number."""
    wide = widen(x)
    d = wide.shape[-1]
    if layout == "half":
        return wide[..., : d // 2] + 1j * wide[..., d // 2 :]
    return wide[..., 0::2] + 1j * wide[..., 1::2]


@MORE
@given(cases(), layouts, formats, st.booleans())
def test_every_pair_keeps_its_norm(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]],
    layout: str,
    dtype: str,
    inverse: bool,
) -> None:
    spectrum, positions, (x,) = case
    x = narrow(x, dtype)
    y = apply_rotary(x, positions, spectrum, layout=layout, inverse=inverse)
    before, after = np.abs(pairs(x, layout)), np.abs(pairs(y, layout))
    # Half a unit at the store, beside float64's own: two of cos and sin, two of the arithmetic.
    assert (np.abs(after - before) <= (eps(dtype) / 2 + 4 * eps("float64")) * before).all()


@MORE
@given(cases(), layouts, formats, st.booleans())
def test_the_inverse_undoes_it(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]],
    layout: str,
    dtype: str,
    inverse: bool,
) -> None:
    spectrum, positions, (x,) = case
    x = narrow(x, dtype)
    there = apply_rotary(x, positions, spectrum, layout=layout, inverse=inverse)
    back = apply_rotary(there, positions, spectrum, layout=layout, inverse=not inverse)
    error = np.abs(pairs(back, layout) - pairs(x, layout)) / np.abs(pairs(x, layout))
    # Two stores of half a unit each make one eps of a narrow format; float64 also rounds inside.
    assert (error <= (6 if dtype == "float64" else 2) * eps(dtype)).all()


@MORE
@given(cases(), layouts)
def test_the_inverse_is_the_rotation_by_minus_the_position(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], layout: str
) -> None:
    spectrum, positions, (x,) = case
    inverse = apply_rotary(x, positions, spectrum, layout=layout, inverse=True)
    assert bits(inverse) == bits(apply_rotary(x, -positions, spectrum, layout=layout))


@MORE
@given(cases(tensors=2), layouts)
def test_the_inverse_is_the_transpose(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], layout: str
) -> None:
    spectrum, positions, (x, y) = case
    scaled = Spectrum(spectrum.inv_freq, attention_factor=1.25)
    left = apply_rotary(x, positions, scaled, layout=layout) * y
    right = x * apply_rotary(y, positions, scaled, layout=layout, inverse=True)
    size = np.abs(pairs(x, layout)) * np.abs(pairs(y, layout))
    assert abs(left.sum() - right.sum()) <= (16 + x.size) * eps("float64") * 1.25 * size.sum()


@MORE
@given(cases(tensors=2), layouts, ids)
def test_scores_depend_on_the_distance_alone(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], layout: str, shift: int
) -> None:
    spectrum, positions, (q, k) = case
    others = np.flip(positions)
    here = pairs(apply_rotary(q, positions, spectrum, layout=layout), layout) * np.conj(
        pairs(apply_rotary(k, others, spectrum, layout=layout), layout)
    )
    there = pairs(apply_rotary(q, positions + shift, spectrum, layout=layout), layout) * np.conj(
        pairs(apply_rotary(k, others + shift, spectrum, layout=layout), layout)
    )
    size = np.abs(pairs(q, layout)) * np.abs(pairs(k, layout))
    # The turns cancel exactly in the difference of the phases; what is left is float64's.
    assert (np.abs(here - there) <= 16 * eps("float64") * size).all()


@MORE
@given(cases(tensors=2), layouts, st.integers(-2000, 2000))
def test_xpos_scores_depend_on_no_centre(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], layout: str, centre: int
) -> None:
    spectrum, positions, (q, k) = case
    near = positions % 2048
    found = []
    for middle in (0, centre):
        x, y = apply_xpos_qk(q, k, near, spectrum, layout=layout, centre=middle)
        found.append(pairs(x, layout) * np.conj(pairs(y, layout)))
    size = np.abs(pairs(q, layout)) * np.abs(pairs(k, layout))
    # Queries are multiplied by what the keys of the same token are divided by, at any centre.
    assert (np.abs(found[0] - found[1]) <= 16 * eps("float64") * size).all()


@MORE
@given(spectra(), ids, ids)
def test_phases_add_as_positions_do(spectrum: Spectrum, m: int, n: int) -> None:
    at_m, at_n, at_sum = (exact_phases(p, spectrum).tolist() for p in (m, n, m + n))
    assert [(a + b) % 2**64 for a, b in zip(at_m, at_n, strict=True)] == at_sum


@MORE
@given(cases(), ids)
def test_rotations_compose(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], step: int
) -> None:
    spectrum, positions, (x,) = case
    twice = apply_rotary(apply_rotary(x, positions, spectrum), step, spectrum)
    once = apply_rotary(x, positions + step, spectrum)
    error = np.abs(pairs(twice, "half") - pairs(once, "half")) / np.abs(pairs(x, "half"))
    assert (error <= 12 * eps("float64")).all()


@MORE
@given(cases(), formats, st.sampled_from(["exact", "float32"]))
def test_the_layouts_are_permutations_of_each_other_bit_for_bit(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]], dtype: str, angles: str
) -> None:
    spectrum, positions, (x,) = case
    x = narrow(x, dtype)
    half = apply_rotary(x, positions, spectrum, layout="half", angles=angles)
    interleaved = apply_rotary(
        to_interleaved(x), positions, spectrum, layout="interleaved", angles=angles
    )
    assert bits(to_half(interleaved)) == bits(half)


@MORE
@given(cases(), layouts, formats, st.sampled_from(["exact", "float32"]), st.booleans())
def test_position_zero_changes_no_bit(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]],
    layout: str,
    dtype: str,
    angles: str,
    inverse: bool,
) -> None:
    spectrum, positions, (x,) = case
    x = narrow(x, dtype)
    y = apply_rotary(x, positions * 0, spectrum, layout=layout, angles=angles, inverse=inverse)
    assert bits(y) == bits(x)


@MORE
@given(cases(), layouts, st.sampled_from(["exact", "float32"]), st.randoms())
def test_tokens_may_come_in_any_order(
    case: tuple[Spectrum, NDArray[np.int64], list[NDArray[np.float64]]],
    layout: str,
    angles: str,
    random: Any,
) -> None:
    spectrum, positions, (x,) = case
    order = random.sample(range(x.shape[1]), x.shape[1])
    y = apply_rotary(x, positions, spectrum, layout=layout, angles=angles)
    shuffled = apply_rotary(
        x[:, order], positions[:, order], spectrum, layout=layout, angles=angles
    )
    assert bits(shuffled) == bits(y[:, order])


@MORE
@given(st.integers(-LIMIT, LIMIT - 1), st.floats(1e-6, 3.0))
def test_neighbouring_positions_stay_distinct(position: int, inv_freq: float) -> None:
    # In bfloat16, 512 positions from 65536 on are two numbers.
    here, there = exact_phases([position, position + 1], Spectrum([inv_freq]))[:, 0].tolist()
    step = (there - here) % 2**64 * 2.0**-64 * 2.0 * np.pi
    assert abs(step - inv_freq) <= turn_rounding(np.array([1]))[0] + 4 * eps("float64") * inv_freq
