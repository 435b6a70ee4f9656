"""A Llama whose queries and keys we rotate gives the logits and the words of Transformers.

The same tests run on the CPU by the specification and on a GPU by the kernels. Queries and keys
are compared pair by pair, on the model's own activations, against bounds that are derived below.
What such an error may do to the logits is asked of the model: its own rotation is disturbed by
random errors of the bound's size, and ours must not move the logits by more than twice as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import ropelab
from tests.models.small_llama import (
    VOCABULARY,
    Compared,
    Model,
    Rotation,
    build,
    disturbed,
    keys_one_ahead,
    our_rotation,
    own_spectrum,
    rotating,
    transformers_rotation,
)

# A pair's error over its norm, in eps of the dtype, after x cos + rotate_half(x) sin with each
# operation rounded: half an eps for the sum, half an eps of |x cos| + |y sin| for the products,
# whose norm over both members is at most sqrt(2) times the pair's.
PRODUCTS_AND_SUM = 0.5 + math.sqrt(0.5)
# float32: cos and sin within an ulp, on both sides.
FLOAT32_BOUND = 2 * (1.0 + PRODUCTS_AND_SUM)
# bfloat16: Transformers rounds cos and sin, products and sum; we round once, at the end. That the
# errors of cos and sin add up to no more than half an eps: the cross terms of both members cancel.
BFLOAT16_BOUND = (0.5 + PRODUCTS_AND_SUM) + 0.5

# How far Transformers' float32 arithmetic leaves inv_freq from the exact rule: pow alone errs by
# up to 1.3 ulp, and each operation of llama3's blend by half an ulp of a larger intermediate.
INV_FREQ_ULPS = 4

# What torch and Transformers say of each other's interfaces is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:::torch", "ignore:::transformers")

MARGIN = 2.0  # ours over the disturbed logits; the bound is a worst case and seldom reached
CLEARLY_WRONG = 10.0  # by this much a mistake must exceed what is allowed

FAR = 100_000


@dataclass(frozen=True)
class Batch:
    """What the model is given."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor


def make_batch(kind: str, device: str) -> Batch:
    """Return two sequences of 24 random tokens; the first may be padded on its left."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCABULARY, (2, 24), generator=generator)
    mask = torch.ones_like(ids)
    if kind == "left-padded":
        mask[0, :7] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0) + (FAR if kind == "far" else 0)
    return Batch(ids.to(device), mask.to(device), positions.to(device))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Stay on one core: on a busy machine, threads that wait for one another cost minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(
    scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu, id="gpu")]
)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[64, 128], ids="head_dim={}".format)
def model(request: pytest.FixtureRequest, device: str) -> Model:
    return build(request.param, device)


@pytest.fixture(params=["plain", "left-padded", "far"])
def batch(request: pytest.FixtureRequest, device: str) -> Batch:
    return make_batch(request.param, device)


# ------------------------------------------------------------------------------------------------


@torch.no_grad()
def logits(model: Model, batch: Batch, rotation: Rotation) -> torch.Tensor:
    """Return the logits of every token that is not padding, as float64."""
    with rotating(model, rotation):
        answer = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
        )
    real: torch.Tensor = answer.logits[batch.attention_mask.bool()]
    return real.double()


def words(model: Model, batch: Batch, rotation: Rotation) -> list[list[int]]:
    """Return 24 words after each sequence, chosen greedily with a cache of rotated keys."""
    with rotating(model, rotation):
        answer = model.generate(
            batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=24,
            do_sample=False,
            pad_token_id=0,
        )
    new: list[list[int]] = answer[:, batch.input_ids.shape[1] :].tolist()
    return new


def moved(model: Model, batch: Batch, rotation: Rotation) -> float:
    """Return how far a rotation moves the logits from those of Transformers."""
    own = logits(model, batch, transformers_rotation(model))
    assert own.isfinite().all()
    return float((logits(model, batch, rotation) - own).abs().max())


def check(model: Model, batch: Batch, rotation: Rotation, allowed: float | torch.Tensor) -> None:
    """Assert that pairs and logits are within `allowed`, a pair's error over its norm."""
    own = transformers_rotation(model)
    compared = Compared(rotation, own)
    distance = moved(model, batch, compared)
    assert isinstance(compared.worst, torch.Tensor)
    ratio = compared.worst / allowed
    assert ratio.max() <= 1.0, f"pair {int(ratio.argmax())}: {ratio.max():.3g} of what is allowed"
    assert distance <= MARGIN * moved(model, batch, disturbed(own, allowed))


def test_the_models_own_rotation_in_its_place_changes_no_bit(model: Model, batch: Batch) -> None:
    with torch.no_grad():
        untouched = model(**vars(batch)).logits[batch.attention_mask.bool()]
    own = logits(model, batch, transformers_rotation(model))
    assert torch.equal(untouched.double(), own)


def test_float32_logits_agree(model: Model, batch: Batch, device: str) -> None:
    rotation = our_rotation(device, own_spectrum(model))
    check(model, batch, rotation, FLOAT32_BOUND * ropelab.precision.eps(np.float32))


def test_bfloat16_logits_agree(batch: Batch, device: str) -> None:
    model = build(128, device, torch.bfloat16)
    rotation = our_rotation(device, own_spectrum(model))
    check(model, batch, rotation, BFLOAT16_BOUND * ropelab.precision.eps("bfloat16"))


def test_logits_agree_with_frequencies_from_the_config(
    model: Model, batch: Batch, device: str
) -> None:
    rope = ropelab.from_transformers(model.config)
    assert rope is not None
    ours, theirs = rope.spectrum().inv_freq, own_spectrum(model).inv_freq
    ulp = np.spacing(ours.astype(np.float32)).astype(np.float64)
    assert (np.abs(ours - theirs) <= INV_FREQ_ULPS * ulp).all()
    # An angle errs by that of its frequency, m times, and by an ulp of the product, which is
    # rounded on both sides.
    furthest = int(batch.position_ids.max())
    products = np.spacing((furthest * ours).astype(np.float32)).astype(np.float64)
    radians = torch.from_numpy(furthest * INV_FREQ_ULPS * ulp + products).to(device)
    allowed = radians + FLOAT32_BOUND * ropelab.precision.eps(np.float32)
    check(model, batch, our_rotation(device, rope.spectrum()), allowed)


@pytest.mark.parametrize("kind", ["plain", "left-padded"])
def test_generations_are_equal(model: Model, device: str, kind: str) -> None:
    batch = make_batch(kind, device)
    own = words(model, batch, transformers_rotation(model))
    assert all(len(set(sequence)) >= 6 for sequence in own), "the model repeats itself"
    assert words(model, batch, our_rotation(device, own_spectrum(model))) == own


# Each mistake must be seen by every kind of comparison, or the tests above show nothing.

MISTAKES: dict[str, Callable[[str, ropelab.Spectrum], Rotation]] = {
    "interleaved": lambda device, own: our_rotation(device, own, layout="interleaved"),
    "keys one ahead": lambda device, own: keys_one_ahead(our_rotation(device, own)),
    "backwards": lambda device, own: our_rotation(device, own, inverse=True),
    "unscaled": lambda device, own: our_rotation(
        device, ropelab.Rope(own.rotary_dim, base=500_000.0).spectrum()
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(model: Model, device: str, mistake: str) -> None:
    own, far = transformers_rotation(model), make_batch("far", device)
    wrong = Compared(MISTAKES[mistake](device, own_spectrum(model)), own)
    allowed = FLOAT32_BOUND * ropelab.precision.eps(np.float32)
    distance = moved(model, far, wrong)
    assert torch.as_tensor(wrong.worst).max() > CLEARLY_WRONG * allowed
    assert distance > CLEARLY_WRONG * MARGIN * moved(model, far, disturbed(own, allowed))
    if mistake != "unscaled":  # at positions below 100 the stretched pairs hardly turn
        plain = make_batch("plain", device)
        assert words(model, plain, wrong) != words(model, plain, own)
