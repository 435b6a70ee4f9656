"""The README's calls and its torch model run, and links of all pages lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest

import ropelab

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

LLAMA_3_1_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def calls(text: str) -> list[str]:
    """Return the expressions of the table of calls."""
    rows = re.findall(r"^\|.*\| (.*) \|$", text, flags=re.MULTILINE)
    found = (re.findall(r"`(ropelab\.[^`]*\))", row) for row in rows)
    return [call for row in found for call in row]


def test_every_call_of_the_table_runs() -> None:
    names = {
        "ropelab": ropelab,
        "rope": ropelab.Rope(128),
        "config": {**ropelab.models.model("Gemma-3-4B").config, "num_hidden_layers": 34},
        "position_ids": np.arange(3),
        "cu_seqlens": [0, 4, 12],
        "rank": 1,
        "offset": 7,
        "weight": np.ones((256, 5)),
        "num_heads": 2,
        "q": np.ones((1, 3, 2, 128)),
        "k": np.ones((1, 3, 1, 128)),
        "spectrum": ropelab.Rope(128).spectrum(),
    }
    asked = calls(README)
    assert len(asked) >= 9
    for call in asked:
        of = {"query_scales": "Llama-4-Scout", "from_vllm": "Llama-3.1-8B"}
        model = next((name for word, name in of.items() if word in call), None)
        given = {"config": ropelab.models.model(model).config} if model else {}
        answer = eval(call, {**names, **given})
        assert "scale(" not in call or answer.shape == (3,)


PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "golden").glob("*.md"),
    ]
    if "_build" not in page.parts
)


@pytest.mark.parametrize("document", PAGES)
def test_relative_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_the_example_of_a_torch_model_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    given: list[str] = []

    def from_pretrained(name: str) -> object:
        given.append(name)
        return model

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    (example,) = (block for block in blocks(README) if "import patch" in block)
    exec(compile(example, "README.md", "exec"), {"input_ids": torch.tensor([[1, 2, 3]])})
    assert given == ["my-model"]
    said = capsys.readouterr().out
    assert "LlamaRotaryEmbedding" in said
    assert "layers.1" in said
