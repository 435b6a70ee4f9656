"""Spectra by the length, computed by the kernels' own source, against the specification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab import Rope
from ropelab.golden import verify
from ropelab.precision import eps
from ropelab.scaling import (
    SCALINGS,
    Default,
    DynamicLinear,
    DynamicNTK,
    DynamicYaRN,
    ExplicitFrequencies,
    Resonance,
    Scaling,
)
from ropelab_cuda import recordings
from tests.length_rules import ROPES, goldens_by_length, same_numbers, spectra_on_device
from tests.ropelab.support import refuses
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

LENGTHS = (1, 2, 2999, 4096, 4097, 6001, 65_537, 131_072, 2**31 - 1, 2**31, 2**53 + 1, 2**61 + 3)
DYNAMIC = ROPES["ntk"]


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU memory pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


def spectrum_of(rope: Rope, length: int) -> ropelab_cuda.DeviceSpectrum:
    return ropelab_cuda.spectrum_on_device(rope, np.array([0, length - 1, -3]))


def test_every_golden_by_length_is_reproduced() -> None:
    asked = goldens_by_length()
    results = verify(asked, spectra_on_device(lambda array: array))
    assert len(results) == len(asked) >= 100
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


@pytest.mark.parametrize("name", ROPES)
def test_every_number_is_that_of_the_specification(name: str) -> None:
    rope, random = ROPES[name], np.random.default_rng(7)
    lengths = [*LENGTHS, *(int(n) for n in 2.0 ** random.uniform(12, 40, 20))]
    if "resonant" in name:  # the specification refuses periods past 2**63
        lengths = [length for length in lengths if length < 2**40]
    for length in lengths:
        same_numbers(rope, length, spectrum_of(rope, length))


def test_every_rule_that_reads_the_length_is_asked() -> None:
    """A new one shows here; rules around another read it where that one does."""
    reading = {rule for rule in SCALINGS.values() if vars(rule).get("depends_on_length") is True}
    around = {rule for rule in SCALINGS.values() if "inner" in rule.__annotations__}
    assert {type(rope.scaling) for rope in ROPES.values()} == reading | around
    assert len(reading) == 5


@pytest.mark.parametrize("odd", [2**27 - 1, 2**27 - 3, 2**27 - 5, 2**26 + 1, 94_906_267])
def test_a_power_that_is_a_tie_is_rounded_to_even(odd: int) -> None:
    """With two pairs the base grows by a square; that of 27 bits may have 54."""
    rope = ROPES["ntk, two pairs"]
    same_numbers(rope, 2048 + odd, spectrum_of(rope, 2048 + odd))  # alpha is odd / 2048


def test_a_whole_quotient_of_two_lengths_is_rounded_once() -> None:
    rope = Rope(4, scaling=DynamicLinear(), max_position_embeddings=3)
    for length in (2**62 - 1, 2**62 + 2**9 + 1, 2**63 - 1, 6_004_799_503_160_661 * 3):
        same_numbers(rope, length, spectrum_of(rope, length))


@pytest.mark.parametrize("seed", range(4))
def test_turns_of_any_double(seed: int) -> None:
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2**63, 400, np.uint64) | random.integers(0, 2, 400, np.uint64) << 63
    speeds = bits.view(np.float64)
    odd = [0.0, -0.0, 5e-324, 2.0**-64, 2.0**-1022, 6.283185307179586, 1e300, 2.0**1023, -1.0]
    speeds = np.concatenate([speeds[np.isfinite(speeds)], odd, [np.finfo(float).max]])
    rope = Rope(2 * speeds.size, scaling=ExplicitFrequencies(speeds.tolist()))
    numbers = spectrum_of(rope, 5).numbers_on_host()
    assert numbers.turns[:] == ropelab.Spectrum(speeds).turns.tolist()


def everywhere() -> dict[str, Any]:
    """Return positions of every kind, of which the largest is 5000, at an awkward place."""
    plain = np.random.default_rng(1).integers(-9, 4000, (3, 7, 11))
    plain[1, 6, 2] = 5000
    many = np.random.default_rng(2).integers(-9, 4000, 3 * 8192 + 7)
    many[-1] = 5000
    wide = np.full((6, 14, 22), 99_999)
    wide[::2, 1::2, ::-2] = plain
    return {
        "three axes": plain,
        "reversed": plain[::-1, ::-1, ::-1],
        "transposed": plain.T,
        "stepped": wide[::2, 1::2, ::-2],
        "broadcast": np.broadcast_to(plain[1, 6], (40, 5, 11)),
        "expanded": np.broadcast_to(plain[:, :, None], (3, 7, 50, 11)),
        "a number": np.array(5000),
        "many": many,
        "many, first": many[::-1],
        "many, stepped": np.repeat(many, 2)[::2],
        "many rows": np.concatenate([many, many[:2]]).reshape(-1, 3)[:, :2],
        "int16": plain.astype(np.int16),
        "int32": plain.astype(np.int32),
        "uint16": np.abs(plain).astype(np.uint16),
        "uint32": np.abs(plain).astype(np.uint32),
    }


@pytest.mark.parametrize("kind", everywhere())
def test_the_length_is_that_of_all_positions(kind: str) -> None:
    ids = everywhere()[kind]
    length = int(ids.max()) + 1
    assert length == 5001 or kind == "many rows"
    same_numbers(DYNAMIC, length, ropelab_cuda.spectrum_on_device(DYNAMIC, ids))


@pytest.mark.parametrize(
    ("positions", "length"),
    [
        (np.array([-5, -1]), 1),
        (np.array([np.iinfo(np.int64).min]), 1),
        (np.full(9000, -3), 1),
        (np.array([np.iinfo(np.int64).max, 0]), 2**63 - 1),
        (np.full(9000, np.iinfo(np.int64).max), 2**63 - 1),
        (np.array([2**32 - 1], np.uint32), 2**32),
        (np.array([-1], np.int8), 1),
        (np.array([255], np.uint8), 256),
    ],
)
def test_a_length_is_at_least_1_and_at_most_what_rules_take(positions: Any, length: int) -> None:
    same_numbers(DYNAMIC, length, ropelab_cuda.spectrum_on_device(DYNAMIC, positions))


@pytest.mark.parametrize("name", ROPES)
def test_without_positions_it_is_what_the_rule_says_without_a_length(name: str) -> None:
    for shape in ((0,), (3, 0), (0, 9, 2)):
        empty = np.empty(shape, np.int64)
        same_numbers(ROPES[name], None, ropelab_cuda.spectrum_on_device(ROPES[name], empty))


@pytest.mark.parametrize("rule", [Default(), Resonance(), ExplicitFrequencies([0.5, -0.25], 3.0)])
def test_a_rule_that_does_not_depend_on_the_length_is_copied(rule: Scaling) -> None:
    rope = Rope(4, scaling=rule)
    spectrum = ropelab_cuda.spectrum_on_device(rope, np.array([8, 3]))
    assert spectrum.to_host() == rope.spectrum()
    assert spectrum.numbers_on_host().turns[:] == rope.spectrum().turns.tolist()


def test_a_pair_whose_period_no_integer_holds_never_repeats() -> None:
    """The specification refuses it; no position comes round to it."""
    rope, inner = (
        ROPES["resonant ntk"],
        Rope(64, scaling=DynamicNTK(2.0), max_position_embeddings=4096),
    )
    numbers = spectrum_of(rope, 2**62).numbers_on_host()
    periods, speeds = np.array(numbers.period[:]), np.array(numbers.inv_freq[:])
    whole = np.rint(2.0 * np.pi / inner.spectrum(2**62).inv_freq)
    assert (periods == np.where(whole < 2.0**63, whole, 0)).all()
    assert ((periods == 0) == (np.arange(32) >= 30)).all()
    assert (speeds == 2.0 * np.pi / whole).all()


@pytest.mark.parametrize("angles", ["exact", "float32"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ["yarn, finetuned", "longrope", "several axes", "resonant ntk"])
def test_every_kernel_takes_it_as_it_takes_a_spectrum(name: str, dtype: str, angles: str) -> None:
    rope = ROPES[name]
    random = np.random.default_rng(3)
    q, k = (random.standard_normal((2, 5, n, rope.head_dim + 3)).astype(dtype) for n in (3, 2))
    axes = rope.spectrum(1).position_axes
    ids = random.integers(-(2**30), 2**31, (axes, 2, 5)[axes == 1 :])
    on_host, spectrum = (
        rope.spectrum(int(ids.max()) + 1),
        ropelab_cuda.spectrum_on_device(rope, ids),
    )

    def answers(numbers: Any) -> list[Any]:
        options: dict[str, Any] = {"angles": angles, "rotary_offset": 2}
        results = [ropelab_cuda.apply_rotary(q, ids, numbers, inverse=True, **options)]
        results += ropelab_cuda.apply_rotary_qk(q, k, ids, numbers, **options)
        places = q.copy(), k.copy()
        results += ropelab_cuda.apply_rotary_qk_(*places, ids, numbers, **options)
        results.append(ropelab_cuda.apply_rotary_(q.copy(), ids, numbers, layout="interleaved"))
        results += ropelab_cuda.cos_sin(ids, numbers, angles=angles, dtype=dtype)
        return [*results, ropelab_cuda.exact_phases(ids, numbers)]

    for got, wanted in zip(answers(spectrum), answers(on_host), strict=True):
        assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ROPES)
@pytest.mark.parametrize("longest", [3000, 70_000])
def test_rotate_is_the_specifications(name: str, longest: int) -> None:
    rope = ROPES[name]
    random = np.random.default_rng(longest)
    q, k = (random.standard_normal((2, 3, n, rope.head_dim)).astype("float32") for n in (3, 1))
    axes = rope.spectrum(1).position_axes
    ids = random.integers(0, longest, (axes, 2, 3)[axes == 1 :])
    ids[..., 1, 2] = longest  # of the second sequence: the first is turned by it as well
    wanted = ropelab.rotate(rope, q, k, ids)
    places = q.copy(), k.copy()
    for rotated in (ropelab_cuda.rotate(rope, q, k, ids), ropelab_cuda.rotate_(rope, *places, ids)):
        for got, want in zip(rotated, wanted, strict=True):
            assert np.abs(got - want).max() <= 3.0 * eps("float32") * 1.5 * np.hypot(q, q).max()


def test_the_rotation_of_a_tensor_without_tokens() -> None:
    q = np.empty((2, 0, 3, 128), np.float32)
    assert ropelab_cuda.rotate(DYNAMIC, q, q, np.empty((2, 0), int))[0].shape == q.shape


def whole_way() -> Any:
    return mock.patch("ropelab_cuda.exchange.Gate.__init__", side_effect=AssertionError)


def test_calls_of_torch_are_replayed_and_follow_the_positions() -> None:
    q, k = torch.randn(1, 4, 3, 128), torch.randn(1, 4, 1, 128)
    outs = torch.empty_like(q), torch.empty_like(k)
    ways: dict[str, Any] = {
        "new": lambda ids: ropelab_cuda.rotate(DYNAMIC, q, k, ids),
        "out": lambda ids: ropelab_cuda.rotate(DYNAMIC, q, k, ids, out=outs),
        "in place": lambda ids: ropelab_cuda.rotate_(DYNAMIC, q.clone(), k.clone(), ids),
    }
    for name, rotated in ways.items():
        for turn, start in enumerate((0, 4092, 4093, 100_000, 7)):
            ids = torch.arange(start, start + 4)
            if turn == 0:
                results = rotated(ids)
            else:
                with whole_way():
                    results = rotated(ids)
            expected = ropelab.rotate(DYNAMIC, q.numpy(), k.numpy(), ids.numpy())
            for got, want in zip(results, expected, strict=True):
                assert np.abs(got.numpy() - want).max() <= 4.0 * eps("float32") * 6.0, (name, start)
    assert recordings.thread.mine is not None
    assert len(recordings.thread.mine.plans) == 4  # the spectrum's, and one for each way


@dataclass(frozen=True)
class Own(Scaling):
    """A rule of a user's own."""

    rope_type: ClassVar[str] = "own"
    depends_on_length: ClassVar[bool] = True

    def spectrum(self, rope: Any, seq_len: int | None = None) -> ropelab.Spectrum:
        return ropelab.Spectrum(np.full(rope.rotary_dim // 2, 1.0 / (seq_len or 1)))


def test_a_rule_of_ones_own_is_refused_by_name() -> None:
    for rule in (Own(), Resonance(Own())):
        with refuses(TypeError, "rope", "Own", "rope.spectrum(seq_len)"):
            ropelab_cuda.spectrum_on_device(Rope(4, scaling=rule), np.arange(3))


def test_what_the_rule_refuses_is_refused_in_its_words() -> None:
    ids = np.arange(3)
    with refuses(ValueError, "max_position_embeddings", "DynamicNTK"):
        ropelab_cuda.spectrum_on_device(Rope(4, scaling=DynamicNTK(2.0)), ids)
    with refuses(ValueError, "alpha"):  # not at this length, but at the longest
        rope = Rope(4, scaling=DynamicNTK(2.0), base=1e300, max_position_embeddings=4)
        ropelab_cuda.spectrum_on_device(rope, ids)
    with refuses(ValueError, "rope", "below 2**53"):
        rope = Rope(4, scaling=DynamicYaRN(4096), max_position_embeddings=2**53)
        ropelab_cuda.spectrum_on_device(rope, ids)
    with refuses(TypeError, "rope"):
        ropelab_cuda.spectrum_on_device(DYNAMIC.spectrum(1), ids)  # type: ignore[arg-type]
    with refuses(TypeError, "position_ids", "float64"):
        ropelab_cuda.spectrum_on_device(DYNAMIC, np.ones(3))
    with refuses(ValueError, "position_ids", "three axes"):
        odd = np.arange(7 * 7 * 7 * 7).reshape(7, 7, 7, 7)[::2, ::2, ::2, ::2]
        ropelab_cuda.spectrum_on_device(DYNAMIC, odd)
