"""The face of Transformers' rope utilities beside Transformers' own."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import transformers.modeling_rope_utils as theirs
from transformers import AutoConfig
from transformers.models.llama import modeling_llama

import ropelab_cuda.compat.transformers_rope as ours
from ropelab.formats import read_transformers
from tests.compat.pair_errors import rotated, worst_error
from tests.float32 import float32_tolerance

D, LIMIT, ORIGINAL = 128, 8192, 4096
LISTS = {
    "short_factor": [1.0 + 0.01 * i for i in range(D // 2)],
    "long_factor": [1.0 + 0.5 * i for i in range(D // 2)],
}
LENGTH = {"original_max_position_embeddings": ORIGINAL}
BANDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, **LENGTH}
RULES: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 2.0, **LENGTH},
    "yarn, no factor": {"rope_type": "yarn", "factor": None, **LENGTH},
    "yarn, untruncated": {"rope_type": "yarn", "factor": 32.0, "truncate": False, **LENGTH},
    "yarn, mscale": {
        "rope_type": "yarn",
        "factor": 40.0,
        "mscale": 0.7,
        "mscale_all_dim": 1.0,
        "beta_fast": 16,
        "beta_slow": 2,
        **LENGTH,
    },
    "longrope": {"rope_type": "longrope", **LISTS, **LENGTH},
    "longrope, factors": {"rope_type": "longrope", "factor": 8.0, **LISTS, **LENGTH},
    "llama3": {"rope_type": "llama3", "factor": 8.0, **BANDS},
    "proportional": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
    "proportional, a factor": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.5,
        "factor": 4.0,
    },
}
PARTIAL = {"partial_rotary_factor": 0.75}


def config_of(parameters: dict[str, Any], **more: Any) -> Any:
    values = {"hidden_size": 4 * D, "num_attention_heads": 4, "max_position_embeddings": LIMIT}
    given = {"rope_theta": 5e5, **deepcopy(parameters)}
    return AutoConfig.for_model("llama", **{**values, "rope_parameters": given, **more})


# Names and signatures


def shape_of(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


def test_every_name_is_there() -> None:
    imported = {"Any", "Callable", "Optional", "TYPE_CHECKING", "TypedDict"}
    imported |= {"is_torch_available", "logger", "logging", "math", "torch", "warnings", "wraps"}
    assert {name for name in vars(theirs) if not name.startswith("__")} - imported <= set(
        ours.__all__
    )
    assert list(ours.ROPE_INIT_FUNCTIONS) == list(theirs.ROPE_INIT_FUNCTIONS)
    assert set(ours.RopeParameters.__annotations__) == set(theirs.RopeParameters.__annotations__)


@pytest.mark.parametrize("name", list(theirs.ROPE_INIT_FUNCTIONS))
def test_functions_of_frequencies_take_the_same(name: str) -> None:
    mine, original = ours.ROPE_INIT_FUNCTIONS[name], theirs.ROPE_INIT_FUNCTIONS[name]
    assert shape_of(mine) == shape_of(original)
    assert mine.__name__ == original.__name__
    assert getattr(ours, mine.__name__) is mine


def test_other_functions_take_the_same() -> None:
    for name in ("dynamic_rope_update", "rope_config_validation"):
        assert shape_of(getattr(ours, name)) == shape_of(getattr(theirs, name))
    for name in ("apply_rotary_pos_emb", "rotate_half"):
        assert shape_of(getattr(ours, name)) == shape_of(getattr(modeling_llama, name))
    decorated = [module.dynamic_rope_update(len) for module in (ours, theirs)]
    assert shape_of(decorated[0]) == shape_of(decorated[1])


@pytest.mark.parametrize(
    "name", [name for name in vars(theirs.RotaryEmbeddingConfigMixin) if name[:2] != "__"]
)
def test_the_mixin_has_the_same(name: str) -> None:
    mine, original = (getattr(module.RotaryEmbeddingConfigMixin, name) for module in (ours, theirs))
    if not callable(original):
        assert mine == original
    elif name == "validate_rope":  # the argument of the method in Transformers 5.0
        assert [each[0] for each in shape_of(mine)] == ["self", "ignore_keys"]
        assert shape_of(mine)[:1] == shape_of(original)
    else:
        assert shape_of(mine) == shape_of(original)


# Frequencies


@pytest.mark.parametrize("length", [None, 0, 7, ORIGINAL, ORIGINAL + 1, LIMIT + 1, 131072])
@pytest.mark.parametrize("rule", list(RULES))
def test_frequencies_are_those_of_transformers(rule: str, length: int | None) -> None:
    config = config_of(RULES[rule])
    name = RULES[rule]["rope_type"]
    expected, factor = theirs.ROPE_INIT_FUNCTIONS[name](config, None, length)
    found, mine = ours.ROPE_INIT_FUNCTIONS[name](config, None, length)
    assert (found.dtype, found.shape, found.device) == (
        *(expected.dtype, expected.shape, expected.device),
    )
    assert isinstance(mine, float)
    assert mine == pytest.approx(factor, rel=1e-15, abs=0.0)
    rope = read_transformers(config.to_dict()).rope
    assert rope is not None
    distance = np.abs(found.double().numpy() - expected.double().numpy())
    # Ours adds half an ulp of its own.
    assert (distance <= (float32_tolerance(rope) + 2.0**-24) * expected.double().numpy()).all()


def test_frequencies_are_rounded_once() -> None:
    found, _ = ours.ROPE_INIT_FUNCTIONS["linear"](config_of(RULES["linear"]))
    exact = [5e5 ** (-2 * i / D) / 3.0 for i in range(D // 2)]
    ulps = np.spacing(found.numpy()).astype(np.float64)
    assert (np.abs(found.double().numpy() - exact) <= (0.5 + 1e-6) * ulps).all()


@pytest.mark.parametrize("rule", ["linear", "dynamic", "yarn", "llama3"])
@pytest.mark.parametrize("head_dim", [64, None])
def test_widths_are_found_where_transformers_says(rule: str, head_dim: int | None) -> None:
    config = config_of({**RULES[rule], **PARTIAL}, head_dim=head_dim)
    function = ours.ROPE_INIT_FUNCTIONS[rule]
    found, _ = function(config, "cpu", seq_len=9000)
    config.head_dim = 64 if head_dim else D  # None is derived, which some of theirs refuse
    expected, _ = theirs.ROPE_INIT_FUNCTIONS[rule](config, "cpu", seq_len=9000)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)
    config.head_dim = None
    assert function(config)[0].shape == (D * 3 // 8,)


def test_a_length_may_be_a_tensor_and_a_device_none_that_holds_numbers() -> None:
    config = config_of(RULES["dynamic"])
    function = ours.ROPE_INIT_FUNCTIONS["dynamic"]
    long, _ = function(config, seq_len=torch.tensor(50_000))
    assert torch.equal(long, function(config, seq_len=50_000)[0])
    assert not torch.equal(long, function(config)[0])
    assert function(config, "meta")[0].is_meta
    with torch.device("meta"):
        assert function(config)[0].is_meta


def per_layer(**more: Any) -> Any:
    layers = ["sliding_attention", "full_attention"]
    both = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        "full_attention": {"rope_theta": 1e6, **RULES["yarn"], **more},
    }
    values = {"hidden_size": 4 * D, "num_attention_heads": 4, "head_dim": D}
    return AutoConfig.for_model(
        "gemma3_text",
        **values,
        num_hidden_layers=2,
        layer_types=layers,
        rope_parameters=both,
        max_position_embeddings=LIMIT,
    )


@pytest.mark.parametrize("more", [{}, {"truncate": False}])
def test_a_layer_has_parameters_of_its_own(more: dict[str, Any]) -> None:
    config = per_layer(**more)
    functions = (module.ROPE_INIT_FUNCTIONS["yarn"] for module in (ours, theirs))
    (found, mine), (expected, factor) = (f(config, layer_type="full_attention") for f in functions)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)
    assert mine == factor


def test_the_width_of_a_head_has_the_name_asked_for() -> None:
    config = config_of(RULES["proportional"], global_head_dim=512)
    function = ours.ROPE_INIT_FUNCTIONS["proportional"]
    expected, _ = theirs.ROPE_INIT_FUNCTIONS["proportional"](config, head_dim_key="global_head_dim")
    found, _ = function(config, head_dim_key="global_head_dim")
    assert found.shape == (256,)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0.0)


@pytest.mark.parametrize(("rule", "key"), [("linear", "factor"), ("longrope", "long_factor")])
def test_a_missing_parameter_is_a_key_error(rule: str, key: str) -> None:
    config = config_of(RULES[rule])
    del config.rope_parameters[key]
    with pytest.raises(KeyError, match=f"{key}: rope_type '{rule}' needs it"):
        ours.ROPE_INIT_FUNCTIONS[rule](config)
    with pytest.raises(KeyError):
        theirs.ROPE_INIT_FUNCTIONS[rule](config)


# Lengths


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


# Application

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


def test_packed_tokens_and_one_sequence_have_no_axis_of_a_batch() -> None:
    cos, sin = tables(ANGLES[0], torch.float32)
    for dim, shape in ((1, (5, 3, 16)), (0, (3, 5, 16))):
        q, k = operands(torch.float32, shape, shape)
        found = ours.apply_rotary_pos_emb(q, k, cos, sin, dim)
        for each, truth in zip(
            found, modeling_llama.apply_rotary_pos_emb(q, k, cos, sin, dim), strict=True
        ):
            torch.testing.assert_close(each, truth, rtol=0.0, atol=2e-6)


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
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    q: tuple[int, ...], cos: tuple[int, ...], dim: int
) -> None:
    x, table = torch.ones(q), torch.ones(cos)
    with pytest.raises(ValueError, match=r"^(cos|q|x):? "):
        ours.apply_rotary_pos_emb(x, x, table, table, dim)


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


# torch.compile


def compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def test_an_application_compiles_whole() -> None:
    q, k = operands(torch.float32, (2, 4, 5, 16), (2, 3, 5, 16), grad=True)
    tabled = tables(ANGLES, torch.float32)
    found = compiled(ours.apply_rotary_pos_emb)(q, k, *tabled)
    for each, plain in zip(found, ours.apply_rotary_pos_emb(q, k, *tabled), strict=True):
        assert torch.equal(each, plain)
    found[0].sum().backward()
    assert q.grad is not None


def test_a_choice_of_lists_compiles_whole() -> None:
    config = config_of(RULES["longrope"])
    module, plain = module_of(ours, config), module_of(ours, config)
    for length in (5, ORIGINAL, ORIGINAL + 1, 7):
        ids = torch.tensor([[0, length - 1]])
        module(torch.zeros(1), ids) if length == 5 else None  # makes the long list
        torch.testing.assert_close(
            compiled(module)(torch.zeros(1), ids), plain(torch.zeros(1), ids), rtol=0.0, atol=1e-6
        )
