"""The page of the linter's kinds says what the registry says."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs.difference_rows import ROWS
from ropelab.lint import KINDS, lint
from ropelab.models import MODELS

ROOT = Path(__file__).parents[1]

# Read by hand in the configs: what makes each finding is there, and is no mistake of the linter.
KNOWN = {
    "integer-factor": {"LLaMA-2-7B-32K"},
    "unused-rotary-dim": {"Phi-1"},
    "base-missing": {"Phi-1.5", "Phi-2"},
    "llama3-step": {"Llama-4-Scout"},
    "original-not-below": {"MiniCPM-V-4"},
    "factor-missing": {"Phi-3.5-mini", "Phi-3.5-vision", "Phi-4-mini"},
    "all-pairs-wrap": {"GLM-4.1V-9B", "Seed-OSS"},
    "differs-in-llama-cpp": {"gpt-oss-120b", "Kimi-K2-Instruct-0905"},
    "differs-in-vllm": {
        *("InternLM2.5-7B", "MiniCPM-2B-128k", "Phi-3.5-mini", "Phi-3.5-vision", "Phi-4-mini"),
    },
}
COMMON = {
    *("angles-coarse", "base-bound", "differs-in-exllamav2", "length-missing", "old-spelling"),
    *("stretch-below-lengths", "length-not-stretched", "differs-in-nemo-automodel"),
}
PAGE = ROOT / "docs" / "lint.md"
MEND = "; run `nox -s figures`"


@cache
def page_module() -> Any:
    spec = importlib.util.spec_from_file_location("lint_page", ROOT / "docs" / "lint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page_module().page(), MEND


def test_each_kind_has_one_row_of_whole_cells() -> None:
    page = PAGE.read_text("utf-8").partition("## What published models have")[0]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(line.split("`")[1] for line in rows) == sorted(KINDS)
    for line in rows:
        assert line.replace("\\|", "").count("|") == 6


def test_published_models_have_what_is_known_of_them() -> None:
    """None is refused, and none has an error."""
    found = page_module().published()
    assert {kind: set(names) for kind, names in found.items() if kind not in COMMON} == KNOWN
    assert {KINDS[kind].severity for kind in found} <= {"warning", "note"}
    assert "Llama-3.1-8B" in found["stretch-below-lengths"]
    assert "Llama-3-8B" not in found["base-bound"]  # its base lies above all that fail at 8192
    assert {"Llama-2-7B", "Qwen2.5-7B", "Llama-3.1-8B", "gpt-oss-120b"} <= set(found["base-bound"])
    assert not any(name.startswith("Gemma-4") for name in found["base-bound"])  # breach: never
    # Channels that do not turn, beside the rope or past it, outweigh those that do.
    still = {"DeepSeek-V3", "GLM-4.5-355B-A32B", "GPT-NeoX-20B", "Phi-4-mini", "Qwen3.5-27B"}
    assert not still & set(found["base-bound"])


@pytest.mark.parametrize("runtime", ["vLLM", "ExLlamaV2", "NeMo", "llama.cpp"])
def test_a_runtime_s_kind_cites_rows_that_name_it(runtime: str) -> None:
    name = {"NeMo": "nemo-automodel"}.get(runtime, runtime.lower().replace(".", "-"))
    source = KINDS[f"differs-in-{name}"].source
    cited = {int(number) for number in re.findall(r"\d+", source.partition("rows ")[2])}
    named = {i for i, row in enumerate(ROWS, 1) if runtime in row.a.who + row.b.who}
    assert cited
    assert cited <= named


def test_exllamav2_s_kind_gives_every_reason_that_a_row_has() -> None:
    kind = KINDS["differs-in-exllamav2"]
    theirs = (i for i, row in enumerate(ROWS, 1) if row.b.who == "ExLlamaV2")
    apart = [i for i in theirs if not ROWS[i - 1].what.startswith("The same")]
    cited = re.findall(r"\d+", kind.source.partition("rows ")[2])
    assert [int(number) for number in cited] == apart
    config = {**MODELS["Qwen2-VL-2B"].config, "architectures": ["Qwen2VLForConditionalGeneration"]}
    (found,) = (one for one in lint(config) if one.kind == kind.name)
    assert "63 of 64 frequencies differ" in found.message
    assert "kept in float16" in found.reason


def test_models_are_named_where_they_are_few() -> None:
    page, models = PAGE.read_text("utf-8"), len(page_module().MODELS)
    rows = dict(
        line.strip("| ").split(" | ") for line in page.partition("## What pub")[2].splitlines()[7:]
    )
    for kind, names in page_module().published().items():
        few = len(names) <= 12
        assert rows[f"`{kind}`"] == (", ".join(names) if few else f"{len(names)} of {models}")
    assert rows["`base-bound`"].endswith(f" of {models}")
    assert rows["`all-pairs-wrap`"] == "GLM-4.1V-9B, Seed-OSS"
