"""The code of docs/frameworks.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["blocks", "run"]

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"


def blocks(*, gpu: bool) -> dict[str, str]:
    """Return the blocks that need CuPy, or those that do not, by the last words before each."""
    text = PAGE.read_text("utf-8")
    found = {}
    for match in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        if ("import cupy" in match[1]) == gpu:
            found[" ".join(text[: match.start()].split()[-4:])] = match[1]
    return found


def run(block: str) -> dict[str, Any]:
    """Run a block, and return the names that it leaves."""
    names: dict[str, Any] = {}
    exec(compile(block, PAGE.name, "exec"), names)
    return names
