"""Resonance: whole wavelengths, as the authors round them, and angles that repeat exactly."""

import math

import numpy as np
import pytest
import torch

from ropelab import Rope, apply_rotary, cos_sin, exact_phases
from ropelab.golden.cards.longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT
from ropelab.scaling import (
    Default,
    DynamicNTK,
    ExplicitFrequencies,
    Llama3,
    LongRoPE,
    NTKAware,
    Proportional,
    Resonance,
    Scaling,
)
from tests.ropelab.support import bits, refuses

LLAMA_2 = Rope(128, scaling=Resonance())
FAR = 2**31 - 1


def periods(rope: Rope, seq_len: int | None = None) -> np.ndarray:
    found = rope.spectrum(seq_len).periods
    assert found is not None
    return found


def test_the_published_change_of_wavelength() -> None:
    # base 1e4, d 128: at most 4.52 %, from 8.379 to 8; pair 0 goes from 6.283 to 6, pair 1 from
    # 7.256 to 7.
    plain = Rope(128).spectrum().wavelengths
    change = np.abs(periods(LLAMA_2) - plain) / plain
    assert f"{100 * change.max():.2f}" == "4.52"
    assert [f"{w:.3f}" for w in plain[:3]] == ["6.283", "7.256", "8.379"]
    assert periods(LLAMA_2)[:3].tolist() == [6, 7, 8]


@pytest.mark.parametrize(
    ("head_dim", "base", "inner"),
    [
        (128, 1e4, Default()),
        (64, 5e5, Default()),
        (128, 1e4, NTKAware(4.0)),
    ],
)
def test_the_periods_are_those_of_the_authors_code(
    head_dim: int, base: float, inner: Scaling
) -> None:
    # In float32 as there, which is exact enough below 2**18 tokens.
    inv_freq = torch.tensor(Rope(head_dim, base=base, scaling=inner).spectrum().inv_freq)
    theirs = torch.round(2 * math.pi / inv_freq.float()).numpy()
    ours = periods(Rope(head_dim, base=base, scaling=Resonance(inner)))
    near = theirs < 2**18
    assert near.sum() > head_dim // 4
    np.testing.assert_array_equal(ours[near], theirs[near])


@pytest.mark.parametrize("angles", ["exact", "float32"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_angles_repeat_bit_for_bit_however_far(angles: str, dtype: type) -> None:
    spectrum, whole = LLAMA_2.spectrum(), periods(LLAMA_2)
    near = np.random.default_rng(5).integers(0, 4096, 50)
    table = cos_sin(near, spectrum, angles=angles, dtype=dtype)
    for pair, period in enumerate(whole.tolist()):
        turns = FAR // period - 4096
        for far in (near + turns * period, near - turns * period):
            again = cos_sin(far, spectrum, angles=angles, dtype=dtype)
            for here, there in zip(table, again, strict=True):
                assert bits(here[:, pair]) == bits(there[:, pair])


def test_phases_repeat_and_without_the_period_would_not() -> None:
    spectrum = LLAMA_2.spectrum()
    ids = np.array([0, 1, 5, 4095])
    far = ids + 6 * (FAR // 6 - 1000)
    phases = exact_phases(np.stack([ids, far]), spectrum)[..., 0]
    np.testing.assert_array_equal(phases[0], phases[1])
    plain = exact_phases(
        far, Rope(2, scaling=ExplicitFrequencies(spectrum.inv_freq[:1].tolist())).spectrum()
    )
    assert (plain[:, 0] != phases[1]).all()


def test_a_rotation_past_the_trained_length_is_one_from_within_it() -> None:
    # All pairs of this head repeat within 420 tokens: 6, 7, 10, 12 and 20 all divide it.
    rule = Resonance(ExplicitFrequencies([2 * np.pi / n for n in (5.9, 7.2, 10.4, 11.6, 20.3)]))
    rope = Rope(10, scaling=rule)
    assert periods(rope).tolist() == [6, 7, 10, 12, 20]
    x = np.random.default_rng(1).standard_normal((1, 3, 2, 10)).astype(np.float32)
    ids = np.array([0, 17, 419])
    near, far = (apply_rotary(x, ids + n, rope.spectrum()) for n in (0, 420 * 5_113_056))
    assert bits(near) == bits(far)


def test_the_inner_rule_keeps_its_amplitude_its_length_and_its_still_pairs() -> None:
    phi = Resonance(LongRoPE(PHI_3_5_SHORT, PHI_3_5_LONG, 4096))
    rope = Rope(96, scaling=phi, max_position_embeddings=131072)
    assert rope.spectrum(1).attention_factor == 1.1902380714238083
    # Pair 24 of Phi-3.5: 5.025e-3 and 1.986e-4 radians per token.
    assert [round(2 * np.pi / periods(rope, n)[24], 6) for n in (4096, 4097)] == [
        0.005027,
        0.000199,
    ]
    assert (phi.depends_on_length, Resonance().depends_on_length) == (True, False)
    assert Resonance(Resonance(DynamicNTK(2.0))).depends_on_length
    still = Rope(16, scaling=Resonance(Proportional(0.5))).spectrum()
    assert not still.inv_freq[4:].any()
    assert periods(Rope(16, scaling=Resonance(Proportional(0.5))))[4:].tolist() == [0] * 4


def test_whole_wavelengths_stay_as_they_are() -> None:
    once, twice = (
        Resonance(Llama3(8.0, 1.0, 4.0, 8192)),
        Resonance(Resonance(Llama3(8.0, 1.0, 4.0, 8192))),
    )
    assert (
        Rope(64, base=5e5, scaling=once).spectrum() == Rope(64, base=5e5, scaling=twice).spectrum()
    )


def test_a_negative_frequency_keeps_its_sense() -> None:
    spectrum = Rope(4, scaling=Resonance(ExplicitFrequencies([-1.0, 1.0]))).spectrum()
    assert spectrum.inv_freq.tolist() == [-np.pi / 3, np.pi / 3]


@pytest.mark.parametrize(
    ("inv_freq", "came"), [(12.6, "0.498666 at pair 1"), (1e-19, "6.28319e+19 at pair 1")]
)
def test_wavelengths_that_are_no_number_of_tokens_are_refused(inv_freq: float, came: str) -> None:
    rope = Rope(4, scaling=Resonance(ExplicitFrequencies([1.0, inv_freq])))
    with refuses(ValueError, "inner", came):
        rope.spectrum()


def test_an_inner_rule_that_is_none_is_refused() -> None:
    with refuses(TypeError, "inner", "'yarn'"):
        Resonance("yarn")  # type: ignore[arg-type]
