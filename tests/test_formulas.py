"""Changing one line of the specification's formulas makes the check fail.

Each edit is applied to a copy of the source, which is then asked in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# file, line as it stands, line as a slip of the pen would have it
EDITS = [
    ("scaling/default.py", "Fraction(-2 * i, rotary_dim)", "Fraction(-2 * i, rotary_dim - 2)"),
    ("scaling/default.py", "Fraction(-2 * i, rotary_dim)", "Fraction(-2 * i - 1, rotary_dim)"),
    ("scaling/linear.py", "rope.base) / self.factor)", "rope.base) * self.factor)"),
    ("scaling/ntk.py", "Fraction(rotary_dim, rotary_dim - 2)", "Fraction(1)"),
    ("scaling/dynamic_ntk.py", "- (self.factor - 1.0)", "- self.factor + 1.001"),
    ("scaling/dynamic_ntk.py", "max(limit if seq_len is None else seq_len, limit)", "limit"),
    ("scaling/llama3.py", "inv_freq / (2.0 * np.pi)", "inv_freq / np.pi"),
    ("scaling/llama3.py", "(1.0 - kept) * (inv_freq", "kept * (inv_freq"),
    ("scaling/llama3.py", "(above > 0.0)", "(above < 0.0)"),
    ("scaling/power.py", "_DIGITS = 45", "_DIGITS = 12"),
    ("spectrum.py", "4 * (4 * arctan_inverse(5)", "4 * (3 * arctan_inverse(5)"),
    ("spectrum.py", "(2 * scaled + period) // (2 * period)", "(scaled + period) // period"),
    ("phases.py", "positions.astype(np.uint64) *", "positions.astype(np.uint32) *"),
    ("phases.py", "quarter << np.uint64(62)", "quarter << np.uint64(61)"),
    ("phases.py", "[c, -s, -c, s]", "[c, s, -c, -s]"),
    ("phases.py", "2.0 * np.pi / 2.0**64", "2.0 * 3.14159265 / 2.0**64"),
    ("phases.py", "cos * spectrum.attention_factor", "cos"),
    ("phases.py", "spectrum.inv_freq.astype(np.float32)", "spectrum.inv_freq"),
    ("layouts.py", "slice(d // 2, d)", "slice(d // 2 - 1, d - 1)"),
    ("layouts.py", "slice(1, d, 2)", "slice(1, d - 1, 2)"),
    ("positions/packed.py", "bounds[:-1] - first", "bounds[:-1] + first"),
    ("positions/context_parallel.py", "(rank, pieces - 1 - rank)", "(rank, rank + ranks)"),
    ("positions/mrope.py", "max(height, width) // merge", "max(frames, height, width) // merge"),
    ("positions/mrope.py", "int(part.max(initial=-1)) + 1", "int(part[1:].max(initial=-1)) + 1"),
    ("positions/mrope_axes.py", "(_ROW, _COLUMN) * rows", "(_COLUMN, _ROW) * rows"),
    ("positions/grids.py", "blocks.swapaxes(3, 4)", "blocks"),
    ("scaling/axial.py", "whole[a :: len(widths)]", "whole[:: len(widths)]"),
    ("rotary.py", "x * c - y * s", "x * c + y * s"),
    ("rotary.py", "y * c + x * s", "y * s + x * c"),
    ("rotary.py", "s = -s if inverse else s", "s = s"),
    ("rotary.py", "np.argsort(axes.token_axes).tolist()", "axes.token_axes"),
    ("precision.py", "-126) - 7", "-126) - 8"),
    ("formats/transformers.py", "return int(head_dim * share)", "return head_dim"),
    ("formats/transformers.py", "(new or old or", "(new or"),
]


def ask(package_parent: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "ropelab.golden"]
    command += ["--no-write", "--no-oracle", "--no-zoo", "--directory", str(ROOT / "golden")]
    environment = {**os.environ, "PYTHONPATH": str(package_parent)}
    return subprocess.run(
        command, cwd=package_parent, env=environment, capture_output=True, text=True, check=False
    )


def test_the_unchanged_copy_is_sound(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ropelab", tmp_path / "ropelab")
    answer = ask(tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "VERDICT: sound" in answer.stdout


@pytest.mark.parametrize(("file", "line", "slip"), EDITS)
def test_a_slip_in_a_formula_is_noticed(file: str, line: str, slip: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ropelab", tmp_path / "ropelab")
    source = tmp_path / "ropelab" / file
    text = source.read_text("utf-8")
    assert line in text, f"{file} no longer has {line!r}"
    source.write_text(text.replace(line, slip), "utf-8")
    answer = ask(tmp_path)
    assert answer.returncode != 0, f"{slip!r} went unnoticed"
    assert "VERDICT: broken" in answer.stdout, answer.stderr
