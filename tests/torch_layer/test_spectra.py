"""Texts of spectra and ropes: whole, exact, equal for equals; and what a device finds by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import ropelab
from ropelab.positions import Consecutive
from ropelab.scaling import DynamicNTK, Geometry, Scaling
from ropelab_cuda.torch import SpectrumText, apply_rotary, apply_rotary_, ops, spectrum_for
from ropelab_cuda.torch.ropes import outline, rope_as_text, rope_from_text
from ropelab_cuda.torch.spectra import as_text, described, from_text
from tests.length_rules import ROPES
from tests.torch_layer.support import pair_error, qk, turned

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
ODD = ropelab.Spectrum(
    [1.0, math.pi, 5e-324, -1.7976931348623157e308, 0.1],
    attention_factor=1 / 3,
    softmax_factor=0.7,
    axes=[0, 2, 1, 0, 2],
    periods=[0, 0, 7, 2**62, 0],
)


@pytest.mark.parametrize("spectrum", [ODD, ropelab.Rope(128).spectrum()], ids=["odd", "plain"])
def test_a_spectrum_is_read_back_bit_for_bit(spectrum: ropelab.Spectrum) -> None:
    read = from_text(as_text(spectrum))
    assert read == spectrum  # which compares every number
    assert read.inv_freq.tobytes() == spectrum.inv_freq.tobytes()
    assert read is from_text(as_text(spectrum))


def test_equal_spectra_have_one_text() -> None:
    assert as_text(ropelab.Rope(8).spectrum()) == as_text(ropelab.Rope(8).spectrum())
    assert as_text(ropelab.Rope(8).spectrum()) != as_text(ropelab.Rope(8, base=9.0).spectrum())


@pytest.mark.filterwarnings("ignore::UserWarning")  # of keys that have no effect
def test_the_ropes_of_all_models_are_read_back() -> None:
    ropes = [rope for model in ropelab.models.MODELS.values() for rope in model.ropes().values()]
    assert len(ropes) > 100
    for rope in ropes:
        if rope is not None:
            assert rope_from_text(rope_as_text(rope)) == rope


@pytest.mark.parametrize("rope", ROPES.values(), ids=ROPES)
def test_every_rule_that_depends_on_the_length_is_read_back(rope: ropelab.Rope) -> None:
    read = rope_from_text(rope_as_text(rope))
    assert read.spectrum(100_000) == rope.spectrum(100_000)
    numbers = torch.empty(0, device="meta")
    assert outline(rope_as_text(rope), numbers).rotary_dim == rope.rotary_dim


@dataclass(frozen=True)
class Own(Scaling):
    """A user's rule, of which a graph knows no name."""

    rope_type = "own_in_torch"
    depends_on_length = True

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> ropelab.Spectrum:
        return ropelab.Spectrum([float(seq_len or 1), 0.5])


def test_a_rule_of_ones_own_is_taken_where_the_host_knows_the_length() -> None:
    rope = ropelab.Rope(4, scaling=Own())
    spectra = spectrum_for(rope, torch.tensor([6, 2])), spectrum_for(rope, torch.empty(0), 7)
    assert spectra == (ropelab.Spectrum([7.0, 0.5]),) * 2
    with pytest.raises(TypeError, match=r"rope: expected a rule of ropelab.scaling.*got Own"):
        spectrum_for(rope, torch.empty(3, dtype=torch.int64, device="meta"))


def test_what_is_no_spectrum_is_refused() -> None:
    with pytest.raises(TypeError, match=r"spectrum: expected a ropelab.Spectrum; got Rope"):
        described(ropelab.Rope(8))  # type: ignore[arg-type]


NTK = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=512)
NTK_NUMBERS = ops.length_numbers(torch.tensor([9_999]), rope_as_text(NTK))
WRONG_NUMBERS: dict[str, tuple[Any, type[Exception], str]] = {
    "too few": (NTK_NUMBERS[:-1], ValueError, r"the 23 numbers of its rope.*got shape \(22,\)"),
    "too many": (torch.zeros(500, dtype=torch.int64), ValueError, r"got shape \(500,\)"),
    "of an axis more": (NTK_NUMBERS[None], ValueError, r"got shape \(1, 23\)"),
    "apart": (NTK_NUMBERS.repeat_interleave(2)[::2], ValueError, r"strides \(2,\)"),
    "expanded": (NTK_NUMBERS[:1].expand(23), ValueError, r"strides \(0,\)"),
    "floats": (NTK_NUMBERS.view(torch.float64), TypeError, r"numbers of torch.int64; got torch.f"),
    "elsewhere": (NTK_NUMBERS.to("meta"), ValueError, "a tensor on the device of q, cpu; got one"),
    "an array": (NTK_NUMBERS.numpy(), TypeError, r"numbers in a torch.Tensor, or None; got ndarr"),
}


@pytest.mark.parametrize("way", ["straight", "recorded", "meta", "in place"])
@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
def test_numbers_are_all_there_or_refused(wrong: str, way: str) -> None:
    numbers, error, message = WRONG_NUMBERS[wrong]
    ids, spectrum = torch.arange(5), SpectrumText(rope_as_text(NTK), numbers)
    q, k = qk(dtype=torch.float32, requires_grad=way == "recorded")
    if way == "meta":
        q, k, ids = (x.to("meta") for x in (q, k, ids))
        if wrong == "elsewhere":
            return
        if isinstance(numbers, torch.Tensor):
            known: dict[str, Any] = {"dtype": numbers.dtype, "device": "meta"}
            numbers = torch.empty_strided(numbers.shape, numbers.stride(), **known)
            spectrum = SpectrumText(spectrum.text, numbers)
    before = q.detach().clone()
    with pytest.raises(error, match=f"^spectrum: expected .*{message}"):
        (apply_rotary_ if way == "in place" else apply_rotary)(q, k, ids, spectrum)
    assert way == "meta" or torch.equal(q, before)


TEXTS: dict[str, tuple[Any, torch.Tensor | None, type[Exception], str]] = {
    "no JSON": ("x", None, ValueError, "the text of a ropelab.Spectrum in SpectrumText; got 'x'"),
    "no object": ("[1]", None, ValueError, "the text of a ropelab.Spectrum"),
    "nothing": ("{}", None, ValueError, "the text of a ropelab.Spectrum"),
    "more": ('{"inv_freq":[1.0],"base":2}', None, ValueError, "the text of a ropelab.Spectrum"),
    "no text": (3, None, TypeError, "the text of a ropelab.Spectrum in SpectrumText; got 3"),
    "a rope's": (rope_as_text(NTK), None, ValueError, "the text of a ropelab.Spectrum"),
    "a spectrum's": (as_text(ODD), NTK_NUMBERS, ValueError, "the text of a ropelab.Rope"),
    "an unknown rule's": (
        *('{"head_dim":12,"scaling":{"rule":"Rope"}}', NTK_NUMBERS, ValueError),
        "a text that names a rule of ropelab.scaling; got 'Rope'",
    ),
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(("text", "numbers", "error", "message"), TEXTS.values(), ids=TEXTS)
def test_texts_of_something_else_are_refused(
    text: Any,
    numbers: torch.Tensor | None,
    error: type[Exception],
    message: str,
    requires_grad: bool,
) -> None:
    q, k = qk(dtype=torch.float32, requires_grad=requires_grad)
    with pytest.raises(error, match=f"^spectrum: expected {message}"):
        apply_rotary(q, k, torch.arange(5), SpectrumText(text, numbers))


@pytest.mark.parametrize("dim", [0, 1])
def test_a_batch_of_numbers_may_lie_in_either_order(dim: int) -> None:
    q, k = qk(dtype=torch.float32)
    lengths, text, ids = (600, 9_000), rope_as_text(NTK), torch.arange(5)
    each = [ops.length_numbers(torch.tensor([length - 1]), text) for length in lengths]
    made = torch.vmap(
        lambda numbers: apply_rotary(q, k, ids, SpectrumText(text, numbers))[0], (dim,)
    )(torch.stack(each, dim))
    for length, y in zip(lengths, made, strict=True):
        expected = turned(q, ids.expand(2, 5), NTK.spectrum(length).inv_freq.tolist())
        assert pair_error(y, expected) <= 1.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rope", ROPES.values(), ids=ROPES)
@pytest.mark.parametrize("last", [1, 4095, 131_071])
def test_the_operator_finds_the_spectrum_at_the_length(
    last: int, rope: ropelab.Rope, device: str
) -> None:
    ids = torch.tensor([[0, last], [last // 2, 1]], device=device)
    text = rope_as_text(rope)
    numbers = SpectrumText(text, ops.length_numbers(ids, text))
    q, k = qk(tokens=2, head_dim=rope.head_dim, dtype=torch.float32, device=device)
    expected = rope.spectrum(last + 1)
    if expected.position_axes > 1:
        ids = torch.stack([ids] * expected.position_axes)
    for needs_grad in (False, True):
        made = apply_rotary(q.requires_grad_(needs_grad), k, ids, numbers)
        wanted = apply_rotary(q, k, ids, expected)
        for y, z in zip(made, wanted, strict=True):
            torch.testing.assert_close(y, z, rtol=0.0, atol=0.0)


def test_a_host_spectrum_where_the_length_does_not_matter() -> None:
    rope = ropelab.Rope(12, base=500.0)
    for ids in (torch.arange(3), torch.arange(3, device="meta")):
        spectrum = spectrum_for(rope, ids)
        assert isinstance(spectrum, ropelab.Spectrum)
        assert spectrum is spectrum_for(rope, ids, 7)


@pytest.mark.parametrize("device", DEVICES)
def test_the_largest_position_of_the_call_decides(device: str) -> None:
    factor, limit, last, d = 2.0, 512, 5000, 12
    rope = ropelab.Rope(d, scaling=DynamicNTK(factor), max_position_embeddings=limit)
    # Transformers' formula of dynamic NTK, at the length last + 1.
    stretch = factor * (last + 1) / limit - (factor - 1)
    base = 10_000.0 * stretch ** (d / (d - 2))
    inv_freq = [base ** (-2 * i / d) for i in range(d // 2)]
    ids = torch.tensor([[3, 4, 5], [77, last, 1]], device=device)
    q, k = qk(tokens=3, dtype=torch.float32, device=device)
    for spectrum in (spectrum_for(rope, ids), spectrum_for(rope, ids, last + 1)):
        made = apply_rotary(q, k, ids, spectrum)
        for x, y in zip((q, k), made, strict=True):
            assert pair_error(y, turned(x, ids, inv_freq)) <= 1.5


def test_without_positions_the_length_is_the_one_the_rule_is_made_for() -> None:
    rope = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=512)
    assert spectrum_for(rope, torch.empty(2, 0, dtype=torch.int64)) == rope.spectrum()


@pytest.mark.parametrize(
    ("position_ids", "message"),
    [
        (Consecutive(3), r"position_ids: expected integers.*got a Consecutive"),
        ([1, 2], r"position_ids: expected a torch.Tensor of integers; got list"),
        (torch.ones(3), r"position_ids: expected integers"),
    ],
    ids=["object", "list", "floats"],
)
def test_a_length_is_found_in_integers_alone(position_ids: object, message: str) -> None:
    rope = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=512)
    with pytest.raises(TypeError, match=message):
        spectrum_for(rope, position_ids)  # type: ignore[arg-type]


def test_lengths_are_positive() -> None:
    rope = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=512)
    with pytest.raises(ValueError, match="seq_len: expected a positive integer; got 0"):
        spectrum_for(rope, torch.arange(3), 0)
    with pytest.raises(TypeError, match=r"rope: expected a ropelab.Rope; got Spectrum"):
        spectrum_for(rope.spectrum(), torch.arange(3))  # type: ignore[arg-type]


def test_the_numbers_on_the_cpu_are_those_of_the_specification() -> None:
    rope = ROPES["ntk"]
    numbers = ops.length_numbers(torch.tensor([9_999]), rope_as_text(rope))
    pairs = rope.rotary_dim // 2
    read = numbers.numpy()[2 : 2 + pairs].view(np.float64)
    assert read.tolist() == rope.spectrum(10_000).inv_freq.tolist()
    assert numbers[1] == 10_000
