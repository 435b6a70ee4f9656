"""The rule of a config is the one that its model's code has."""

import pytest

from ropelab import Rope, from_transformers
from ropelab.scaling import DeepSeekYaRN, DynamicNTK, NTKAware, YaRN
from tests.ropelab.formats.published import LLAMA_3, Config
from tests.ropelab.support import refuses

YARN: Config = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 4096,
}
HEADS: Config = {"head_dim": 64, "rope_theta": 1e4, "max_position_embeddings": 163840}


@pytest.mark.parametrize("model_type", ["deepseek_v2", "deepseek_v3", "minicpm3", "youtu"])
def test_models_that_scale_their_softmax_have_deepseeks_yarn(model_type: str) -> None:
    rope = from_transformers({**HEADS, "model_type": model_type, "rope_scaling": YARN})
    assert rope is not None
    assert rope.scaling == DeepSeekYaRN(40, 4096, mscale=0.707, mscale_all_dim=0.707)
    # 0.1 * 0.707 * ln 40 + 1, squared: DeepSeek-V2-Lite's.
    assert rope.spectrum().softmax_factor == pytest.approx(1.5896262, abs=5e-8)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "ministral3", "gpt_oss"])
def test_other_models_have_yarn_alone(model_type: str) -> None:
    rope = from_transformers({**HEADS, "model_type": model_type, "rope_scaling": YARN})
    assert rope is not None
    assert rope.scaling == YaRN(40, 4096, mscale=0.707, mscale_all_dim=0.707)
    assert rope.spectrum().softmax_factor == 1.0


@pytest.mark.parametrize("model_type", ["hunyuan_v1_dense", "hunyuan_v1_moe", None, "hunyuan"])
def test_alpha_makes_the_rule_static_in_hunyuan_and_unknown_models(model_type: str | None) -> None:
    rule = {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}
    rope = from_transformers({**HEADS, "model_type": model_type, "rope_scaling": rule})
    assert rope == Rope(64, scaling=NTKAware(1000.0), max_position_embeddings=163840)


def test_alpha_has_no_meaning_in_other_models() -> None:
    rule = {"type": "dynamic", "alpha": 1000.0, "factor": 2.0}
    with pytest.warns(UserWarning, match="'dynamic' does not read alpha"):
        rope = from_transformers({**LLAMA_3, "rope_scaling": rule})
    assert rope is not None
    assert rope.scaling == DynamicNTK(2.0)


def test_hunyuan_asks_for_a_factor_that_it_does_not_read() -> None:
    rule = {"type": "dynamic", "alpha": 1000.0}
    config = {**HEADS, "model_type": "hunyuan_v1_dense", "rope_scaling": rule}
    with refuses(ValueError, "rope_scaling", "factor"):
        from_transformers(config)
