"""How each reader of docs/goldens.md is built and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["LANGUAGES", "ROOT", "Language"]

ROOT = Path(__file__).parents[2]


class Language(NamedTuple):
    """A reader's file, and the commands as the page has them."""

    file: str
    needs: str
    build: tuple[str, ...]  # to an executable, whose path is appended; none for a script

    @property
    def runs_here(self) -> bool:
        """Whether what it needs is installed."""
        return shutil.which(self.needs) is not None

    def command(self, folder: Path) -> list[str]:
        """Build the reader, and return the command that runs it."""
        source = str(ROOT / "docs" / "goldens" / self.file)
        if not self.build:
            return [self.needs, source]
        program = folder / "reader"
        (compiler, *options), libraries = self.build, ["-lm"] if self.file.endswith(".c") else []
        line = [compiler, *options, "-o", str(program), source, *libraries]
        subprocess.run(line, check=True, capture_output=True, text=True)
        return [str(program)]


LANGUAGES = {
    "c": Language("reader.c", "cc", ("cc", "-std=c99", "-O2")),
    "rust": Language("reader.rs", "rustc", ("rustc", "--edition", "2021", "-O")),
    "javascript": Language("reader.mjs", "node", ()),
}
