"""The decorator that follows the length of calls, beside Transformers' own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers.modeling_rope_utils as theirs

import ropelab_cuda.compat.transformers_rope as ours
from tests.compat.transformers_configs import LIMIT, ORIGINAL, RULES, D, config_of, per_layer


def module_of(face: Any, config: Any, *, plain: bool = False) -> Any:
    """Build what Llama's rotary embedding is, on one of the two."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.rope_type = config, config.rope_parameters["rope_type"]
            inv_freq, self.attention_scaling = face.ROPE_INIT_FUNCTIONS[self.rope_type](config)
            if plain:
                self.inv_freq = inv_freq
                return
            self.register_buffer("inv_freq", inv_freq, persistent=False)
            self.register_buffer("original_inv_freq", inv_freq.clone(), persistent=False)
            self.max_seq_len_cached = config.max_position_embeddings
            self.original_max_seq_len = config.max_position_embeddings

        @face.dynamic_rope_update  # type: ignore[untyped-decorator]
        def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> Any:
            angles = position_ids[..., None].float() * self.inv_freq.float()
            return (angles.cos() * self.attention_scaling).to(x.dtype)

    return Module()


SERIES = (10, LIMIT, 3 * LIMIT, 2 * LIMIT, LIMIT, LIMIT - 1, LIMIT + 1, ORIGINAL + 1, ORIGINAL)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("rule", ["dynamic", "longrope", "yarn"])
def test_a_series_of_calls_has_the_frequencies_of_transformers(rule: str, plain: bool) -> None:
    config = config_of(RULES[rule])
    mine, original = module_of(ours, config, plain=plain), module_of(theirs, config)
    x = torch.zeros(1)
    seen = []
    for length in SERIES:
        ids = torch.tensor([[3, length - 1, 0], [1, 2, length // 2]])
        assert mine(x, ids).shape == (2, 3, D // 2)
        original(x, ids)
        torch.testing.assert_close(mine.inv_freq, original.inv_freq, rtol=2e-6, atol=0.0)
        seen.append(mine.inv_freq.tolist())
        if rule == "dynamic":
            assert mine.max_seq_len_cached == int(original.max_seq_len_cached)
    assert len({tuple(each) for each in seen}) == {"dynamic": 3, "longrope": 2, "yarn": 1}[rule]


@pytest.mark.parametrize("rule", ["dynamic", "longrope"])
def test_a_call_in_inference_mode_spoils_no_later_one(rule: str) -> None:
    module, x = module_of(ours, config_of(RULES[rule])).to(torch.bfloat16), torch.zeros(1)
    with torch.inference_mode():
        module(x, torch.arange(3 * LIMIT)[None])
    for length in SERIES:
        module(x, torch.arange(length)[None])
    fresh = module_of(ours, config_of(RULES[rule]))
    for length in (3 * LIMIT, *SERIES):
        fresh(x, torch.arange(length)[None])
    # The cast has rounded the frequencies of short calls.
    torch.testing.assert_close(module.inv_freq.float(), fresh.inv_freq, rtol=2**-8, atol=0.0)


def test_a_custom_dynamic_rule_may_be_added() -> None:
    calls = []

    def mine(_: Any, device: Any, seq_len: Any = None, **more: Any) -> tuple[Any, float]:
        assert more == {"layer_type": None}
        calls.append((seq_len, device.type))
        return torch.full((D // 2,), 0.5), 0.25

    config = config_of({**RULES["dynamic"]})
    module = module_of(ours, config)
    module.rope_type = "my_dynamic"
    ours.ROPE_INIT_FUNCTIONS["my_dynamic"] = mine
    try:
        assert module(torch.zeros(1), torch.tensor([[LIMIT]])).dtype == torch.float32
    finally:
        del ours.ROPE_INIT_FUNCTIONS["my_dynamic"]
    assert calls == [(LIMIT + 1, "cpu")]
    assert module.attention_scaling == 0.25
    assert module.inv_freq.tolist() == [0.5] * (D // 2)


def test_frequencies_that_a_cast_has_rounded_are_made_anew() -> None:
    config = config_of(RULES["longrope"])
    module = module_of(ours, config)
    module.original_inv_freq = None
    module.to(torch.bfloat16)
    module(torch.zeros(1), torch.tensor([[5]]))
    assert torch.equal(module.inv_freq, ours.ROPE_INIT_FUNCTIONS["longrope"](config)[0])


@pytest.mark.parametrize("rule", ["dynamic", "longrope"])
def test_an_original_that_is_the_same_tensor_is_not_overwritten(rule: str) -> None:
    # As modules of Transformers 4 keep it.
    module = module_of(ours, config_of(RULES[rule]))
    module.original_inv_freq = module.inv_freq
    short = module.inv_freq.clone()
    for length, same in ((100_000, False), (5, True)):
        module(torch.zeros(1), torch.tensor([[length]]))
        assert torch.equal(module.inv_freq, short) == same


def test_frequencies_stay_where_they_are() -> None:
    module = module_of(ours, config_of(RULES["longrope"]))
    address = module.inv_freq.data_ptr()
    for length in (ORIGINAL + 5, 5):
        module(torch.zeros(1), torch.tensor([[length]]))
        assert module.inv_freq.data_ptr() == address


def test_each_layer_type_has_its_own_length() -> None:
    config = per_layer(rope_type="dynamic")
    found = []
    for face in (ours, theirs):
        inv_freq, factor = face.ROPE_INIT_FUNCTIONS["dynamic"](config, layer_type="full_attention")

        class Module(torch.nn.Module):
            full_attention_inv_freq: torch.Tensor

            @face.dynamic_rope_update  # type: ignore[untyped-decorator]
            def forward(self, x: Any, position_ids: Any, layer_type: Any = None) -> Any:
                return getattr(self, f"{layer_type}_inv_freq").clone()

        module: Any = Module()
        module.config = config
        module.rope_type = {"full_attention": "dynamic", "sliding_attention": "default"}
        module.max_seq_len_cached = module.original_max_seq_len = LIMIT
        for name in ("full_attention", "sliding_attention"):
            module.register_buffer(f"{name}_inv_freq", inv_freq.clone())
            module.register_buffer(f"{name}_original_inv_freq", inv_freq.clone())
        module.full_attention_attention_scaling = factor
        calls = [("full_attention", 20_000), ("sliding_attention", 30_000), ("full_attention", 9)]
        found.append(
            [module(torch.zeros(1), torch.tensor([[n]]), layer_type=name) for name, n in calls]
        )
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=2e-6, atol=0.0)
    assert not torch.equal(found[0][0], found[0][2])


def test_a_choice_of_lists_compiles_whole() -> None:
    config = config_of(RULES["longrope"])
    module, plain = module_of(ours, config), module_of(ours, config)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    for length in (5, ORIGINAL, ORIGINAL + 1, 7):
        ids = torch.tensor([[0, length - 1]])
        module(torch.zeros(1), ids) if length == 5 else None  # makes the long list
        torch.testing.assert_close(
            compiled(torch.zeros(1), ids), plain(torch.zeros(1), ids), rtol=0.0, atol=1e-6
        )
