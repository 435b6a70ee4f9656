"""A rotary embedding as a module: nothing in it can rot."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

import ropelab
from ropelab import Rope
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK, Llama3, LongRoPE
from ropelab_cuda.torch import RotaryEmbedding

FAR = 131_000
SWITCH = 64  # original length of LongRoPE, in tokens

PLAIN = Rope(16, base=500_000.0, scaling=Llama3(8.0, 1.0, 4.0, 8192))
PARTIAL = Rope(24, rotary_dim=8, layout="interleaved", output_layout="half", rotary_offset=16)
BY_LENGTH = {
    "dynamic": Rope(16, scaling=DynamicNTK(4.0), max_position_embeddings=SWITCH),
    "longrope": Rope(
        16,
        scaling=LongRoPE(
            short_factor=[1.0 + 0.1 * i for i in range(8)],
            long_factor=[2.0 + i for i in range(8)],
            original_max_position_embeddings=SWITCH,
        ),
        max_position_embeddings=2048,
    ),
}


def inputs(rope: Rope, tokens: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, tokens, heads, rope.head_dim, generator=seeded) for heads in (3, 1))
    return q, k


def specified(
    rope: Rope, q: torch.Tensor, k: torch.Tensor, position_ids: object, **options: object
) -> tuple[torch.Tensor, torch.Tensor]:
    made = ropelab.rotate(rope, q, k, position_ids, **options)  # type: ignore[arg-type]
    return torch.from_numpy(made[0]), torch.from_numpy(made[1])


def assert_equal(
    ours: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("rope", [PLAIN, PARTIAL], ids=["llama3", "partial"])
@pytest.mark.parametrize("angles", ["exact", "float32"])
def test_it_rotates_as_the_rope_says(rope: Rope, angles: str) -> None:
    q, k = inputs(rope)
    position_ids = torch.tensor([[FAR, 3, 0, 77, 5], [1, 2, FAR + 9, 4, 5]])
    ours = RotaryEmbedding(rope, angles=angles)(q, k, position_ids)
    assert_equal(ours, specified(rope, q, k, position_ids, angles=angles))
    assert not torch.equal(ours[0], q)


def test_formats_are_said_once() -> None:
    q, k = inputs(PLAIN)
    position_ids = torch.tensor([9, FAR, 2, 4, 5])
    moved = [x.transpose(1, 2).contiguous() for x in (q, k)]
    ours = RotaryEmbedding(PLAIN, tensor_format="bhsd")(*moved, position_ids)
    theirs = specified(PLAIN, q, k, position_ids)
    assert_equal((ours[0].transpose(1, 2), ours[1].transpose(1, 2)), theirs)


@pytest.mark.parametrize("name", BY_LENGTH)
@pytest.mark.parametrize("last", [SWITCH - 1, SWITCH, 500])
def test_rules_take_the_length_of_each_call(name: str, last: int) -> None:
    rope = BY_LENGTH[name]
    embedding, (q, k) = RotaryEmbedding(rope), inputs(rope)
    for position_ids in (torch.tensor([3, last, 1, 0, 2]), torch.arange(5)):  # long, then short
        assert_equal(embedding(q, k, position_ids), specified(rope, q, k, position_ids))


def test_objects_say_positions() -> None:
    rope = BY_LENGTH["longrope"]
    embedding, (q, k) = RotaryEmbedding(rope), inputs(rope)
    for offset in (0, SWITCH - 5, SWITCH - 4):
        position = Consecutive(offset)
        assert_equal(embedding(q, k, position), specified(rope, q, k, position))


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_agree_on_the_length_of_a_pack(rank: int) -> None:
    rope = BY_LENGTH["longrope"]
    # Of rank 1, no token is beyond the switch; the last ones of the longer sequence are rank 0's.
    pack = Packed([0, 8, 8 + SWITCH + 4], cp_size=2, cp_rank=rank)
    tokens = (8 + SWITCH + 4) // 2
    seeded = torch.Generator().manual_seed(0)
    q, k = (torch.randn(tokens, heads, 16, generator=seeded) for heads in (3, 1))
    ours = RotaryEmbedding(rope, tensor_format="thd")(q, k, pack)
    assert_equal(ours, specified(rope, q, k, pack, tensor_format="thd"))


# ------------------------------------------------------------------------------------------------


def to_half_and_back(embedding: RotaryEmbedding) -> RotaryEmbedding:
    return embedding.to(torch.bfloat16).to(torch.float16).to(torch.float32)


def through_the_meta_device(embedding: RotaryEmbedding) -> RotaryEmbedding:
    return embedding.to("meta").to_empty(device="cpu")


def made_on_the_meta_device(embedding: RotaryEmbedding) -> RotaryEmbedding:
    with torch.device("meta"):
        made = RotaryEmbedding(embedding.rope)
    return made.to_empty(device="cpu")


@pytest.mark.parametrize(
    "treated",
    [
        to_half_and_back,
        through_the_meta_device,
        made_on_the_meta_device,
        copy.deepcopy,
        lambda embedding: pickle.loads(pickle.dumps(embedding)),
    ],
    ids=["cast", "moved to meta", "made on meta", "copied", "pickled"],
)
def test_nothing_in_it_can_rot(treated: Callable[[RotaryEmbedding], RotaryEmbedding]) -> None:
    q, k = inputs(PLAIN)
    position_ids = torch.tensor([FAR, 3, 0, 77, 5])
    embedding = treated(RotaryEmbedding(PLAIN))
    assert_equal(embedding(q, k, position_ids), specified(PLAIN, q, k, position_ids))


def test_it_has_no_state() -> None:
    embedding = RotaryEmbedding(PLAIN)
    assert not list(embedding.parameters())
    assert not list(embedding.buffers())
    assert embedding.state_dict() == {}
    embedding.load_state_dict({})


def test_gradients_turn_back() -> None:
    q, k = (x.requires_grad_() for x in inputs(PARTIAL))
    position_ids = torch.tensor([FAR, 3, 0, 77, 5])
    rotated = RotaryEmbedding(PARTIAL)(q, k, position_ids)
    grads = torch.autograd.grad(rotated, (q, k), [2.0 * x.detach() for x in rotated])
    for grad, x in zip(grads, (q, k), strict=True):  # the inverse of an orthogonal map
        torch.testing.assert_close(grad, 2.0 * x.detach())


def test_it_compiles_for_any_length() -> None:
    rope = BY_LENGTH["longrope"]
    embedding = RotaryEmbedding(rope)
    compiled = torch.compile(embedding, fullgraph=True, dynamic=True, backend="aot_eager")
    for tokens in (5, 7):
        for first in (0, SWITCH):
            q, k = inputs(rope, tokens)
            position_ids = first + torch.arange(tokens)
            assert_equal(compiled(q, k, position_ids), specified(rope, q, k, position_ids))


def test_it_describes_itself() -> None:
    assert repr(RotaryEmbedding(Rope(8))).startswith(
        "RotaryEmbedding(Rope(head_dim=8, base=10000.0"
    )


# ------------------------------------------------------------------------------------------------


def test_a_layer_without_a_rope_is_refused() -> None:
    with pytest.raises(TypeError, match=r"rope: expected a ropelab\.Rope; got NoneType"):
        RotaryEmbedding(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["tensor_format", "angles"])
def test_unknown_options_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected one of"):
        RotaryEmbedding(PLAIN, **{option: "other"})


@pytest.mark.parametrize("name", ["q", "k"])
def test_other_widths_are_refused(name: str) -> None:
    given = dict(zip("qk", inputs(PLAIN), strict=True))
    given[name] = torch.zeros(2, 5, 1, 8)
    with pytest.raises(ValueError, match=rf"{name}: expected .*head_dim.*got shape \(2, 5, 1, 8\)"):
        RotaryEmbedding(PLAIN)(given["q"], given["k"], torch.arange(5))


def test_heads_come_whole() -> None:
    q, k = (x[..., : PARTIAL.rotary_dim] for x in inputs(PARTIAL))
    with pytest.raises(ValueError, match="q: expected head_dim 24 as the rope says"):
        RotaryEmbedding(PARTIAL)(q, k, torch.arange(5))


@pytest.mark.parametrize("position_ids", [torch.arange(4), torch.zeros(3, 5, dtype=torch.int64)])
def test_positions_of_other_tokens_are_refused(position_ids: torch.Tensor) -> None:
    q, k = inputs(PLAIN)
    with pytest.raises(ValueError, match="position_ids"):
        RotaryEmbedding(PLAIN)(q, k, position_ids)


def test_positions_that_are_no_integers_are_refused() -> None:
    q, k = inputs(PLAIN)
    with pytest.raises(TypeError, match="position_ids"):
        RotaryEmbedding(PLAIN)(q, k, torch.arange(5.0))


def test_float64_is_rotated_in_float64() -> None:
    q, k = (x.double() for x in inputs(PLAIN))
    position_ids = torch.tensor([FAR, 3, 0, 77, 5])
    ours = RotaryEmbedding(PLAIN)(q, k, position_ids)
    theirs = ropelab.rotate(PLAIN, q, k, position_ids)
    assert np.array_equal(ours[0].numpy(), theirs[0])
    assert ours[1].dtype == torch.float64
