"""Patched models on a GPU: the kernels in the place of Transformers' own rotation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ropelab_cuda.torch import patch, unpatch, watch
from tests.gpu.waiting import without_synchronising
from tests.models.patched_models import Batch, generated, gradients, logits, make_batch
from tests.models.small_models import Model, build

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

# Partial width, an interleaved layout, a complex table and a rule by the length among them.
ARCHITECTURES = ("Llama", "Llama 4", "Phi-3", "Gemma 3", "GLM-4", "DeepSeek-V3")
# eps of a pair: float32 cosines within an ulp and a product or two; bfloat16 is rounded once.
ALLOWED = {torch.float32: 3.0, torch.bfloat16: 0.52}
FEW = 1e-4  # of the largest logit, in float32; a wrong rotation moves it by 0.1


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def plain_float32() -> Iterator[None]:
    """Have matrices multiplied in float32 proper, so that rotations are all that differs."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def on_gpu(architecture: str, dtype: torch.dtype = torch.float32) -> Model:
    model = build(architecture, dtype)
    model.to("cuda")
    return model


def batch_on_gpu(architecture: str, kind: str) -> Batch:
    batch = make_batch(architecture, kind)
    return Batch(*(getattr(batch, name).cuda() for name in Batch.__dataclass_fields__))


def near(ours: torch.Tensor, own: torch.Tensor) -> bool:
    return bool((ours - own).abs().max() <= FEW * own.abs().max())


@pytest.mark.parametrize("dtype", ALLOWED, ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["left-padded", "far"])
def test_every_rotation_is_that_of_the_specification(
    architecture: str, dtype: torch.dtype, kind: str
) -> None:
    model, batch = on_gpu(architecture, dtype), batch_on_gpu(architecture, kind)
    patch(model)
    with watch(model) as errors:
        logits(model, batch)
    assert 0.0 < errors.worst <= ALLOWED[dtype], str(errors)


def test_logits_words_and_gradients_agree(architecture: str) -> None:
    model, batch = on_gpu(architecture), batch_on_gpu(architecture, "left-padded")
    own, words, grads = logits(model, batch), generated(model, batch)[0], gradients(model, batch)
    patch(model)
    assert near(logits(model, batch), own)
    assert torch.equal(generated(model, batch)[0], words)
    ours = gradients(model, batch)
    assert all(torch.allclose(ours[name], grads[name], rtol=1e-2, atol=1e-4) for name in grads)
    unpatch(model)
    assert torch.equal(logits(model, batch), own)


def test_models_move_after_they_are_patched() -> None:
    model, batch = build("Phi-3"), make_batch("Phi-3", "left-padded")
    own = logits(model, batch)
    patch(model)
    model.to("cuda")
    assert near(logits(model, batch_on_gpu("Phi-3", "left-padded")).cpu(), own)


def test_a_rule_by_the_length_does_not_wait_for_the_device() -> None:
    model, batch = on_gpu("Phi-3"), batch_on_gpu("Phi-3", "plain")
    patch(model)
    embedding = model.model.rotary_emb
    states = torch.ones(2, 24, 64, device="cuda")
    attention = model.model.layers[0].self_attn
    attention(states, embedding(states, batch.position_ids), None)  # compiles
    with without_synchronising(torch):
        tables = embedding(states, batch.position_ids)
        attention(states, tables, None)
