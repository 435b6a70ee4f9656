"""Every code block of README and docs runs as printed, but for those that are listed, with why.

The blocks of a page run in one process and in their order, as a reader would paste them.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ropelab
from ropelab.cli import exits
from tests.ropelab.cli.support import ropelab as command_line
from tests.test_readme import LLAMA_3_1_8B

ROOT = Path(__file__).parents[1]

GENERATED = {"rules", "measurements", "_build"}
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if not GENERATED & set(page.relative_to(ROOT).parts)
)

GPU, DOWNLOAD = "needs a GPU", "downloads a model"
NOT_RUN = {
    ("README.md", 'device="cuda"'): f"{GPU}: tests/gpu/test_on_gpu.py makes the same calls",
    ("README.md", "from_pretrained"): f"{DOWNLOAD}: tests/test_readme.py runs it with a small one",
    ("docs/start.md", 'device="cuda"'): f"{GPU}: tests/gpu/test_on_gpu.py makes the same calls",
    ("docs/frameworks.md", "import cupy"): f"{GPU}: tests/gpu/test_frameworks.py runs it",
}
"""Blocks that do not run here, by their page and a part of them."""

Names = dict[str, Any]


def _model() -> Names:
    from tests.models.small_models import build

    return {"model": build("Llama")}


def _tokens() -> Names:
    import torch

    q, k = torch.ones(1, 3, 2, 128), torch.ones(1, 3, 1, 128)
    numbers = torch.from_numpy(ropelab.Rope(128).spectrum().inv_freq.astype(np.float32))
    given = {"inv_freq": numbers, "scaling_factor": 1.0, "ropelab": ropelab}
    return {"q": q, "k": k, "position_ids": torch.arange(3), **given}


def _sequence_first() -> Names:
    import torch

    return {"q": torch.ones(2048, 1, 2, 128)}


GIVEN: dict[str, Callable[[], Names]] = {
    "docs/models.md": _model,
    "docs/migration/exllamav2.md": _tokens,
    "docs/migration/transformer_engine.md": _sequence_first,
}
"""What a reader of a page has already."""


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language, those in lists too."""
    text = (ROOT / page).read_text("utf-8")
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def not_run(page: str, block: str) -> list[tuple[str, str]]:
    return [key for key in NOT_RUN if key[0] == page and key[1] in block]


def without_before(block: str) -> ast.Module:
    """Leave out the statements marked ``# before``: they import the library that is left."""
    lines = block.splitlines()
    module = ast.parse(block)
    ends = [(node, lines[(node.end_lineno or node.lineno) - 1]) for node in module.body]
    module.body = [node for node, line in ends if not line.endswith("# before")]
    return module


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_1_8B), "utf-8")
    (tmp_path / "golden").symlink_to(ROOT / "golden")
    monkeypatch.chdir(tmp_path)
    names: Names = {"__name__": "page", **GIVEN.get(page, dict)()}
    for block in blocks(page, "python"):
        if not not_run(page, block):
            code = compile(without_before(block), page, "exec", dont_inherit=True)
            exec(code, names)


def test_each_block_that_does_not_run_is_listed_once_and_for_a_reason() -> None:
    found = [
        key for page in PAGES for block in blocks(page, "python") for key in not_run(page, block)
    ]
    assert sorted(found) == sorted(NOT_RUN)
    assert all(reason.startswith((GPU, DOWNLOAD)) for reason in NOT_RUN.values())


def test_no_block_is_of_an_unknown_language() -> None:
    known = {"python", "pycon", "json", "sh", "console", "math", ""}
    fences = [
        (page, fence)
        for page in PAGES
        for fence in re.findall(r"^ *```(\S*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    ]
    assert [one for one in fences if one[1] not in known] == []
    assert len(fences) > 60


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_a_console_shows_what_a_command_prints(page: str) -> None:
    for block in blocks(page, "console"):
        asked, *shown = block.splitlines()
        assert asked.startswith("$ ropelab ")
        result = command_line(*shlex.split(asked)[2:], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert result.stdout.splitlines() == shown


def commands(page: str) -> list[tuple[str, str]]:
    """Return the ropelab commands of a page's shell blocks, each with the comment behind it."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    halves = [line.partition("#") for line in lines if line.startswith("ropelab ")]
    return [(command.strip(), comment.strip()) for command, _, comment in halves]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_a_command_answers_as_its_comment_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_1_8B), "utf-8")
    monkeypatch.chdir(tmp_path)
    for command, comment in commands(page):
        result = command_line(*shlex.split(command)[1:])
        assert (result.exit_code in (exits.YES, exits.NO), result.stderr) == (True, ""), command
        assert result.stdout
        if comment.endswith(" ..."):  # the beginning of what it says
            assert comment.removesuffix(" ...") in result.stdout


def test_commands_are_found() -> None:
    assert [command.split()[1] for command, _ in commands("README.md")] == [
        *("explain", "lint", "diff")
    ]


@pytest.mark.parametrize("page", [*PAGES, "golden/README.md"])
def test_json_is_json(page: str) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES)
def test_commands_name_sessions_and_files_that_are_there(page: str) -> None:
    sessions = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.M)
    for block in blocks(page, "sh"):
        for named in re.findall(r"nox -s ([a-z ]+)", block):
            assert set(named.split()) <= set(sessions), named
        for file in re.findall(r"(?<![\w/.])((?:docs|tests|\.ci)/[\w./-]+)", block):
            built = "_build" in file  # and so not in a fresh clone
            assert built or (ROOT / file).exists(), file
