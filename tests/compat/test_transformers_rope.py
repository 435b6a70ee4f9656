"""The application of Transformers' tables, beside that of its Llama."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.models.llama import modeling_llama

import ropelab_cuda.compat.transformers_rope as ours
from tests.compat.pair_errors import rotated, worst_error
from tests.compat.transformers_configs import RULES, config_of

ANGLES = torch.rand(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 1e3


def operands(
    dtype: torch.dtype, *shapes: tuple[int, ...], grad: bool = False
) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=made).to(dtype).requires_grad_(grad) for shape in shapes]


def tables(angles: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    doubled = torch.cat((angles, angles), dim=-1)
    return doubled.cos().to(dtype), doubled.sin().to(dtype)


@pytest.mark.parametrize("dim", [1, 2, -2, -3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_rotation_is_that_of_transformers(dtype: torch.dtype, dim: int) -> None:
    before = dim in (1, -3)
    q, k = operands(dtype, *[(2, h, 5, 16) if before else (2, 5, h, 16) for h in (4, 3)])
    cos, sin = tables(ANGLES, dtype)
    found = ours.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=dim)
    doubles = (each.double() for each in (q, k, cos, sin))
    exact = modeling_llama.apply_rotary_pos_emb(*doubles, unsqueeze_dim=dim)
    for each, truth, given in zip(found, exact, (q, k), strict=True):
        assert each.dtype == dtype
        assert each.shape == given.shape
        # Half an eps of either member, which a pair's length is at least; float64 has no better.
        assert worst_error(each, truth) <= (0.71 if dtype != torch.float64 else 2.0)


@pytest.mark.parametrize("dim", [1, 2])
def test_one_token_may_be_told_by_either_axis(dim: int) -> None:
    q, k = operands(torch.float32, *[(2, h, 1, 16) if dim == 1 else (2, 1, h, 16) for h in (4, 3)])
    cos, sin = tables(ANGLES[:, 3:4], torch.float32)
    for each, given in zip(ours.apply_rotary_pos_emb(q, k, cos, sin, dim), (q, k), strict=True):
        assert worst_error(each, rotated(given, ANGLES[:, 3:4, None])) <= 4.0


def test_packed_tokens_and_one_sequence_have_no_axis_of_a_batch() -> None:
    cos, sin = tables(ANGLES[0], torch.float32)
    for dim, shape in ((1, (5, 3, 16)), (0, (3, 5, 16))):
        q, k = operands(torch.float32, shape, shape)
        found = ours.apply_rotary_pos_emb(q, k, cos, sin, dim)
        for each, truth in zip(
            found, modeling_llama.apply_rotary_pos_emb(q, k, cos, sin, dim), strict=True
        ):
            torch.testing.assert_close(each, truth, rtol=0.0, atol=2e-6)


BATCHES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]] = [
    ((1, 4, 5, 16), (1, 3, 5, 16), (3, 5), 1),  # one sequence at the positions of three
    ((2, 4, 5, 16), (1, 3, 5, 16), (2, 5), 1),
    ((2, 4, 5, 16), (2, 3, 5, 16), (2, 1), 1),  # all tokens of a sequence alike
    ((0, 4, 5, 16), (0, 3, 5, 16), (1, 5), 1),
    ((2, 4, 0, 16), (2, 3, 0, 16), (2, 0), 1),
    ((4, 0, 16), (3, 0, 16), (0,), 0),
    ((3, 2, 4, 5, 24), (3, 2, 1, 5, 24), (3, 1, 5), 1),  # batches of batches
    ((3, 2, 4, 5, 16), (3, 2, 1, 5, 16), (2, 5), 1),
    ((3, 2, 4, 5, 16), (3, 2, 1, 5, 16), (5,), 0),
    ((3, 2, 5, 4, 16), (3, 2, 5, 1, 16), (3, 2, 5), 3),
    ((3, 5, 2, 4, 16), (3, 5, 2, 4, 16), (3, 5, 1), 3),  # groups of heads
    ((3, 1, 2, 5, 4, 16), (3, 1, 2, 5, 1, 16), (7, 2, 5), 3),
]


@pytest.mark.parametrize(("q_shape", "k_shape", "tokens", "dim"), BATCHES)
def test_batches_broadcast_as_by_transformers(
    q_shape: tuple[int, ...], k_shape: tuple[int, ...], tokens: tuple[int, ...], dim: int
) -> None:
    q, k = operands(torch.float64, q_shape, k_shape, grad=True)
    made = torch.Generator().manual_seed(3)
    angles = torch.rand(*tokens, 8, dtype=torch.float64, generator=made) * 1e3
    cos, sin = tables(angles, torch.float64)
    results = []
    for face in (ours, modeling_llama):
        # Transformers takes no wider heads; their channels pass through.
        given = [x if face is ours else x[..., :16] for x in (q, k)]
        out = face.apply_rotary_pos_emb(*given, cos, sin, unsqueeze_dim=dim)
        out = [each[..., :16] for each in out]
        weights = operands(torch.float64, *(each.shape for each in out))
        total = sum(
            ((each * w).sum() for each, w in zip(out, weights, strict=True)), q.new_zeros(())
        )
        results.append([*out, *torch.autograd.grad(total, (q, k))])
    for mine, original in zip(*results, strict=True):
        torch.testing.assert_close(mine, original, rtol=1e-9, atol=1e-9)


def test_dtypes_are_promoted_as_by_transformers() -> None:
    for given, of_tables in (
        *((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)),
        *((torch.float16, torch.bfloat16), (torch.bfloat16, torch.float64)),
    ):
        q, k = operands(given, (1, 2, 5, 16), (1, 1, 5, 16))
        arguments = (q, k.double(), *tables(ANGLES[:1], of_tables))
        mine = ours.apply_rotary_pos_emb(*arguments)
        original = modeling_llama.apply_rotary_pos_emb(*arguments)
        assert [each.dtype for each in mine] == [each.dtype for each in original]


def test_channels_past_a_narrower_table_pass_through() -> None:
    q, k = operands(torch.float32, (2, 4, 5, 24), (2, 1, 5, 24))
    for each, given in zip(
        ours.apply_rotary_pos_emb(q, k, *tables(ANGLES, torch.float32)), (q, k), strict=True
    ):
        assert torch.equal(each[..., 16:], given[..., 16:])
        truth = rotated(given[..., :16], ANGLES[:, None])
        assert worst_error(each[..., :16], truth) <= 4.0  # of cos and sin too


def test_gradients_are_those_of_transformers() -> None:
    arguments = []
    for face in (ours, modeling_llama):
        q, k = operands(torch.float64, (2, 4, 5, 16), (2, 3, 5, 16), grad=True)
        angles = ANGLES.clone().requires_grad_()
        out = face.apply_rotary_pos_emb(q, k, *tables(angles, torch.float64))
        weights = operands(torch.float64, *(each.shape for each in out))
        sum((each * w).sum() for each, w in zip(out, weights, strict=True)).backward()
        arguments.append([q.grad, k.grad, angles.grad])
    for mine, original in zip(*arguments, strict=True):
        torch.testing.assert_close(mine, original, rtol=1e-9, atol=1e-9)


def test_halves_change_places() -> None:
    original: Any = modeling_llama.rotate_half
    for x in (torch.randn(3, 7), torch.arange(6)):
        assert torch.equal(ours.rotate_half(x), original(x))


@pytest.mark.parametrize(
    ("q", "cos", "dim"),
    [
        ((2, 4, 5, 16), (2, 5, 15), 1),  # an odd width
        ((2, 4, 5, 16), (2, 4, 5, 16), 1),  # more axes than q
        ((2, 4, 5, 16), (2, 5, 16), 0),  # a table for each head
        ((5, 16), (5, 16), 0),
        ((2, 4, 5, 16), (2, 5, 32), 1),  # wider than a head
        ((2, 4, 5, 16), (3, 5, 16), 1),  # other batches
        ((2, 4, 5, 16), (4, 5, 16), 0),  # a table for each head
        ((6, 2, 4, 5, 16), (3, 5, 16), 1),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    q: tuple[int, ...], cos: tuple[int, ...], dim: int
) -> None:
    x, table = torch.ones(q), torch.ones(cos)
    with pytest.raises(ValueError, match=r"^(cos|q|x):? "):
        ours.apply_rotary_pos_emb(x, x, table, table, dim)


def test_a_batch_of_queries_beside_one_of_keys_is_refused() -> None:
    q, k = operands(torch.float32, (2, 4, 5, 16), (1, 3, 5, 16))
    with pytest.raises(ValueError, match="q: expected a batch that broadcasts"):
        ours.apply_rotary_pos_emb(q, k, *tables(ANGLES[:1], torch.float32))


@pytest.mark.parametrize("rule", ["dynamic", "llama3", "longrope", "yarn"])
def test_a_model_needs_another_import_alone(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50}
    config = config_of(RULES[rule], **small, num_key_value_heads=2)
    torch.manual_seed(0)
    model: Any = modeling_llama.LlamaForCausalLM(config)
    ids = torch.arange(12).reshape(2, 6)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5], [9000, 9001, 9002, 9003, 9004, 9005]])
    with torch.no_grad():
        expected = model(ids, position_ids=positions).logits
        forward = modeling_llama.LlamaRotaryEmbedding.forward.__wrapped__
        monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", ours.apply_rotary_pos_emb)
        monkeypatch.setattr(modeling_llama, "ROPE_INIT_FUNCTIONS", ours.ROPE_INIT_FUNCTIONS)
        monkeypatch.setattr(
            modeling_llama.LlamaRotaryEmbedding, "forward", ours.dynamic_rope_update(forward)
        )
        model.model.rotary_emb = modeling_llama.LlamaRotaryEmbedding(config)
        found = model(ids, position_ids=positions).logits
    # At position 9000 an ulp of a frequency is 1e-3 radians.
    torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-4)


def test_an_application_compiles_whole() -> None:
    q, k = operands(torch.float32, (2, 4, 5, 16), (2, 3, 5, 16), grad=True)
    tabled = tables(ANGLES, torch.float32)
    compiled: Any = torch.compile(ours.apply_rotary_pos_emb, fullgraph=True, backend="aot_eager")
    found = compiled(q, k, *tabled)
    for each, plain in zip(found, ours.apply_rotary_pos_emb(q, k, *tabled), strict=True):
        assert torch.equal(each, plain)
    found[0].sum().backward()
    assert q.grad is not None
