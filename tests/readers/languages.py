"""How each reader of docs/goldens.md is built and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["FOLDER", "LANGUAGES", "ROOT", "Language"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "goldens"


class Language(NamedTuple):
    """A reader's file and its check's, and the commands as the page has them."""

    reader: str
    check: str
    needs: str
    build: tuple[str, ...]  # to an executable, whose path is appended; none for a script
    strict: tuple[str, ...] = ()  # what the tests add to it: any warning is an error

    @property
    def runs_here(self) -> bool:
        """Whether what it needs is installed."""
        return shutil.which(self.needs) is not None

    def command(self, folder: Path) -> list[str]:
        """Build the check, and return the command that runs it."""
        source = str(FOLDER / self.check)
        if not self.build:
            return [self.needs, source]
        program = folder / "check"
        libraries = ["-lm"] if self.check.endswith(".c") else []
        line = [*self.build, *self.strict, "-o", str(program), source, *libraries]
        subprocess.run(line, check=True, capture_output=True, text=True)
        return [str(program)]


WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

LANGUAGES = {
    "c": Language("reader.h", "check.c", "cc", ("cc", "-std=c99", "-O2"), (*WARNINGS, *SANITIZERS)),
    "rust": Language(
        "reader.rs", "check.rs", "rustc", ("rustc", "--edition", "2021", "-O"), ("-D", "warnings")
    ),
    "javascript": Language("reader.mjs", "check.mjs", "node", ()),
}
