"""What is written is read back as the same rope, by us and by Transformers."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig

from ropelab import Rope, from_transformers, to_transformers
from ropelab.golden.cards import CARDS
from ropelab.golden.implementation import rope_of_card
from ropelab.models import MODELS
from ropelab.positions import mrope_axes
from ropelab.scaling import (
    DeepSeekYaRN,
    Linear,
    LlamaCppYaRN,
    LongRoPE,
    NTKAware,
    Proportional,
    Resonance,
    Scaling,
    YaRN,
)
from tests.float32 import float32_tolerance
from tests.parity.support import rotary_class
from tests.ropelab.support import refuses

SHARED = {"default", "linear", "dynamic", "llama3", "longrope", "ntk_alpha", "proportional"}
SHARED |= {"yarn", "deepseek_yarn"}
WRITTEN = [
    name
    for name, card in CARDS.items()
    if card["rope_type"] in SHARED and card.get("mscale_policy", "su") == "su"
]
TRAILING: Any = {"rotary_dim": 64, "rotary_offset": 64, "layout": "interleaved"}


def read_back(rope: Rope) -> Rope | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd rule is written as it is
        return from_transformers(to_transformers(rope))


def test_there_are_ropes_of_every_rule() -> None:
    assert {CARDS[name]["rope_type"] for name in WRITTEN} == SHARED


@pytest.mark.parametrize("name", WRITTEN)
def test_every_rope_of_the_goldens_is_read_back(name: str) -> None:
    rope = rope_of_card(CARDS[name])
    assert read_back(rope) == rope


def test_the_factor_beside_an_alpha_is_that_of_hunyuan() -> None:
    # Its configs have it, and no code reads it.
    rule = dict(MODELS["Hunyuan-A13B"].config["rope_scaling"])
    written = to_transformers(Rope(128, scaling=NTKAware(rule["alpha"])))["rope_parameters"]
    assert written["factor"] == rule["factor"] == 1.0


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_width_and_base_is_read_back(data: st.DataObject) -> None:
    head_dim = data.draw(st.integers(1, 700))
    rotary_dim = 2 * data.draw(st.integers(1, (head_dim + 1) // 2))
    if rotary_dim > head_dim:
        return
    rope = Rope(
        head_dim,
        base=data.draw(st.floats(1.5, 1e9)),
        rotary_dim=rotary_dim,
        scaling=data.draw(st.sampled_from([None, Linear(3.0), YaRN(4.0, 8192)])),
        max_position_embeddings=data.draw(st.none() | st.integers(1, 2**40)),
        layout=data.draw(st.sampled_from(["half", "interleaved"])),
    )
    assert read_back(rope) == rope


@pytest.mark.parametrize(
    "rope",
    [
        Rope(64, scaling=DeepSeekYaRN(40.0, 4096), layout="interleaved", output_layout="half"),
        Rope(64, scaling=DeepSeekYaRN(40.0, 4096), layout="interleaved"),
        Rope(64, scaling=DeepSeekYaRN(40.0, 4096, mscale_all_dim=1.0)),
        Rope(128, scaling=DeepSeekYaRN(40.0, 4096), output_layout="half", **TRAILING),
        Rope(128, **TRAILING),
        Rope(512, scaling=Proportional(0.25)),
        Rope(128, axes=mrope_axes(128, (16, 24, 24))),
        Rope(128, axes=mrope_axes(128, (24, 20, 20), order="interleaved")),
        Rope(128, rotary_dim=64, layout="interleaved", axes=mrope_axes(64, (8, 12, 12))),
        Rope(128, layout="interleaved", axes=mrope_axes(128, (22, 22, 20), order="alternating")),
    ],
)
def test_what_only_code_says_is_said_by_a_model(rope: Rope) -> None:
    assert read_back(rope) == rope


@pytest.mark.parametrize("rope", [Rope(128), Rope(64, base=5e5, scaling=Linear(8.0))])
def test_no_model_is_named_where_none_is_needed(rope: Rope) -> None:
    written = to_transformers(rope)
    assert set(written) == {"head_dim", "rope_parameters"}
    theta = {"rope_type": rope.scaling.rope_type, "rope_theta": rope.base}
    assert theta.items() <= written["rope_parameters"].items()


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "qwen2.5-yarn-4", "phi-3.5-mini", "llama-2-7b-32k", "gpt-oss-20b"]
)
def test_transformers_reads_what_is_written(name: str) -> None:
    rope = rope_of_card(CARDS[name])
    length = rope.max_position_embeddings or 4096
    written = {"model_type": "llama", "max_position_embeddings": length, **to_transformers(rope)}
    config = AutoConfig.for_model(written.pop("model_type"), **written)
    module = rotary_class(config)(config)
    spectrum = rope.spectrum()
    distance = np.abs(module.inv_freq.double().numpy() - spectrum.inv_freq)
    assert (distance <= float32_tolerance(rope) * spectrum.inv_freq).all()
    assert module.attention_scaling == pytest.approx(spectrum.attention_factor, rel=1e-12)


@pytest.mark.parametrize(
    ("rope", "name", "came"),
    [
        (Rope(64, scaling=Resonance(Linear(2.0))), "scaling", "'resonance'"),
        (Rope(64, output_layout="interleaved"), "rope", "output_layout 'interleaved'"),
        (Rope(64, rotary_dim=32, rotary_offset=32), "rope", "rotary_offset 32"),
        (Rope(8, axes=[0, 2, 1, 0]), "rope", "axes"),
        (
            Rope(4, scaling=LongRoPE([1.0] * 2, [2.0] * 2, 4096, 4.0, mscale_policy="yarn")),
            "mscale_policy",
            "'yarn'",
        ),
    ],
)
def test_what_transformers_does_not_have_is_refused_by_name(
    rope: Rope, name: str, came: str
) -> None:
    with refuses(ValueError, name, came):
        to_transformers(rope)


def test_only_ropes_are_written() -> None:
    with refuses(TypeError, "rope", "dict"):
        to_transformers({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "near"),
    [
        (LlamaCppYaRN(0.25, 32768), YaRN(4.0, 32768)),
        (LlamaCppYaRN(1 / 3, 4096, beta_fast=16.0), YaRN(3.0, 4096, beta_fast=16.0)),
        (LlamaCppYaRN(0.25, 4096, attn_factor=0.5), YaRN(4.0, 4096, 0.5693147180559945)),
        (LlamaCppYaRN(0.125, 4096, 0.0), Linear(8.0)),
    ],
)
def test_the_nearest_rule_to_llama_cpps_is_named_and_turns_alike(
    rule: LlamaCppYaRN, near: Scaling
) -> None:
    with refuses(ValueError, "scaling", "'llama_cpp'", f"the nearest is {near!r};"):
        to_transformers(Rope(128, scaling=rule))
    theirs, ours = (Rope(128, scaling=each).spectrum() for each in (rule, near))
    np.testing.assert_allclose(theirs.inv_freq, ours.inv_freq, rtol=4e-16)
    assert theirs.attention_factor == pytest.approx(ours.attention_factor, rel=4e-16)


@pytest.mark.parametrize("given", [(0.25, 4096, 0.5), (2.0, 4096), (0.25, 4096, 0.0, 2.0)])
def test_no_rule_is_near_to_what_transformers_cannot_say(given: Any) -> None:
    with pytest.raises(ValueError, match=r"'llama_cpp'(?!.*nearest)"):
        to_transformers(Rope(64, scaling=LlamaCppYaRN(*given)))
