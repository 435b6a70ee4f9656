"""A patched model gives the logits, words and gradients of the model that it was.

What an error of a rotation may do to the logits is asked of the model: its own rotations are
disturbed by random errors of the size that two correct ones may differ by, and ours must not move
the logits by more than twice as much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import ropelab
from tests.models.patched_models import (
    distance,
    disturbed,
    generated,
    gradients,
    logits,
    make_batch,
    patched,
    patched_in_the_other_layout,
)
from tests.models.small_models import ARCHITECTURES, Model, build
from tests.models.test_llama import BFLOAT16_BOUND, CLEARLY_WRONG, FLOAT32_BOUND, MARGIN

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# What two correct rotations may differ by: a pair's error over its norm. Their frequencies are the
# same float32 numbers, so this does not grow with the position. LongRoPE's come from the rule,
# within an ulp or two of float32, which at position 100,000 is an angle of 0.02.
BOUNDS = {
    torch.float32: FLOAT32_BOUND * ropelab.precision.eps(np.float32),
    torch.bfloat16: BFLOAT16_BOUND * ropelab.precision.eps("bfloat16"),
}
FAR_BY_LENGTH = 0.02
KINDS = ("plain", "left-padded", "far")

WORST: dict[str, dict[str, float]] = defaultdict(dict)


@pytest.fixture(scope="module", autouse=True)
def worst_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stay on one core, and print the worst logit error of each architecture at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nworst error of a logit over the largest logit, in eps")
        for architecture, errors in WORST.items():
            words = (f"{name} {error:.3g}" for name, error in errors.items())
            print(f"  {architecture:12} {', '.join(words)}")


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    given: torch.dtype = request.param
    return given


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(architecture: str, dtype: torch.dtype) -> Model:
    return build(architecture, dtype)


def bound(architecture: str, dtype: torch.dtype, kind: str) -> float:
    by_length = architecture == "Phi-3" and kind == "far"
    return BOUNDS[dtype] + (FAR_BY_LENGTH if by_length else 0.0)


def record(
    architecture: str, kind: str, own: torch.Tensor, moved: float, dtype: torch.dtype
) -> None:
    name = str(dtype).removeprefix("torch.")
    error = moved / float(own.abs().max()) / torch.finfo(dtype).eps
    if kind != "far" or architecture != "Phi-3":
        WORST[architecture][name] = max(error, WORST[architecture].get(name, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_agree(model: Model, architecture: str, dtype: torch.dtype, kind: str) -> None:
    batch = make_batch(architecture, kind)
    own = logits(model, batch)
    with patched(model):
        ours = logits(model, batch)
    with disturbed(model, bound(architecture, dtype, kind)):
        allowed = MARGIN * float((logits(model, batch) - own).abs().max())
    moved = float((ours - own).abs().max())
    record(architecture, kind, own, moved, dtype)
    assert moved <= allowed
    assert torch.equal(logits(model, batch), own)  # unpatched again


def test_a_mistake_would_be_seen(model: Model, architecture: str) -> None:
    batch = make_batch(architecture, "plain")
    own = logits(model, batch)
    with disturbed(model, bound(architecture, torch.float32, "plain")):
        allowed = MARGIN * float((logits(model, batch) - own).abs().max())
    with patched_in_the_other_layout(model):
        mistaken = logits(model, batch)
    assert float((mistaken - own).abs().max()) > CLEARLY_WRONG * allowed


@pytest.mark.parametrize("kind", ["plain", "left-padded"])
def test_generations_agree(model: Model, architecture: str, dtype: torch.dtype, kind: str) -> None:
    batch = make_batch(architecture, kind)
    words, own = generated(model, batch)
    with patched(model):
        our_words, ours = generated(model, batch)
    with disturbed(model, BOUNDS[dtype]):
        others, moved = generated(model, batch)
    if dtype == torch.float32:
        assert torch.equal(our_words, words)
    # As long as the words are the same, the logits of the next one can be compared.
    for row in range(len(words)):
        allowed = MARGIN * _worst(own[row], moved[row], words[row], others[row])
        assert _worst(own[row], ours[row], words[row], our_words[row]) <= allowed


def _worst(
    own: torch.Tensor, others: torch.Tensor, words: torch.Tensor, other_words: torch.Tensor
) -> float:
    same = int((words == other_words).long().cumprod(0).sum())
    return float((own - others)[: same + 1].abs().max())


@pytest.mark.parametrize("kind", ["plain", "left-padded"])
def test_gradients_agree(model: Model, architecture: str, dtype: torch.dtype, kind: str) -> None:
    batch = make_batch(architecture, kind)
    own = gradients(model, batch)
    with patched(model):
        ours = gradients(model, batch)
    with disturbed(model, BOUNDS[dtype]):
        allowed = MARGIN * distance(gradients(model, batch), own)
    assert distance(ours, own) <= allowed


def test_a_lost_gradient_would_be_seen(model: Model, architecture: str) -> None:
    batch = make_batch(architecture, "plain")
    own = gradients(model, batch)
    with disturbed(model, BOUNDS[torch.float32]):
        allowed = MARGIN * distance(gradients(model, batch), own)
    lost = {name: grad * ("att" not in name) for name, grad in own.items()}
    assert distance(lost, own) > CLEARLY_WRONG * allowed
