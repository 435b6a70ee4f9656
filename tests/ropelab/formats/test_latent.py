"""Channels of latent attention that no rope speaks of."""

from typing import Any

import pytest

from ropelab.formats.latent import channels_beside
from tests.ropelab.support import refuses

DEEPSEEK: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
}
FILE: dict[str, Any] = {
    "general.architecture": "deepseek2",
    "deepseek2.rope.dimension_count": 64,
    "deepseek2.attention.key_length": 576,  # of the compressed keys, which is no head's
    "deepseek2.attention.key_length_mla": 192,
}


@pytest.mark.parametrize(
    ("config", "beside"),
    [
        (DEEPSEEK, 128),
        ({"text_config": DEEPSEEK, "model_type": "kimi_k25"}, 128),
        ({**DEEPSEEK, "qk_nope_head_dim": None}, None),
        ({**DEEPSEEK, "qk_nope_head_dim": 0}, 0),
        ({**DEEPSEEK, "qk_rope_head_dim": None, "head_dim": 128}, 0),
        # Its rope is told of the whole head, the unturned channels first.
        ({**DEEPSEEK, "model_type": "mistral4"}, 0),
        ({**DEEPSEEK, "model_type": "llama"}, 0),
        ({**DEEPSEEK, "model_type": "longcat_flash", "head_dim": 64}, 128),
        ({**DEEPSEEK, "model_type": "mistral4", "head_dim": 192}, 0),
        ({}, 0),
    ],
)
def test_of_a_config(config: dict[str, Any], beside: int | None) -> None:
    assert channels_beside(config, "transformers") == beside


def test_of_a_file() -> None:
    assert channels_beside(FILE, "gguf") == 128
    older = {key: value for key, value in FILE.items() if not key.endswith("_mla")}
    assert channels_beside(older, "gguf") is None
    assert channels_beside({**FILE, "general.architecture": "llama"}, "gguf") == 0


def test_what_is_no_number_is_refused() -> None:
    with refuses(TypeError, "qk_nope_head_dim", "many"):
        channels_beside({**DEEPSEEK, "qk_nope_head_dim": "many"}, "transformers")
    with refuses(ValueError, "qk_nope_head_dim", "-1"):
        channels_beside({**DEEPSEEK, "qk_nope_head_dim": -1}, "vllm")
