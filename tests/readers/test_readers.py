"""The readers of docs/goldens.md, in other languages, read goldens and tell right from wrong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ropelab.golden import load
from tests.readers.languages import LANGUAGES, ROOT

GOLDENS = {golden.case.id: golden for golden in load()}
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}

# Float64 products do at float32, and at 2**31 do not at float64: the reader must say so.
HOLD = (
    "cos_sin/default/exact/float32",
    "cos_sin/default/exact/float32/scaled",
    "cos_sin/llama3/exact/float32",
    "registry/Phi-2/cos_sin",
)
FAIL = ("cos_sin/default/exact/float64", "cos_sin/llama3/exact/float64/scaled")


class Told(NamedTuple):
    """What a reader has said."""

    code: int
    pairs: int
    worst: float
    allowed: float


@pytest.fixture(scope="module", params=LANGUAGES)
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return LANGUAGES[request.param].command(tmp_path_factory.mktemp("reader"))


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)


def told(command: list[str], case: str) -> Told:
    done = run(command, str(ROOT / "golden"), case)
    said = re.fullmatch(r"(\d+) pairs, worst (\S+) eps, allowed (\S+)\n", done.stdout)
    assert said is not None, done.stderr
    return Told(done.returncode, int(said[1]), float(said[2]), float(said[3]))


def expected(case: str) -> Told:
    golden = GOLDENS[case]
    ids, inv_freq = (golden.case.arguments[name] for name in ("position_ids", "inv_freq"))
    cos, sin = (golden.expected[name].astype(np.float64) for name in ("cos", "sin"))
    angle = ids[..., np.newaxis].astype(np.float64) * inv_freq
    factor = golden.case.options["attention_factor"]
    error = np.hypot(factor * np.cos(angle) - cos, factor * np.sin(angle) - sin)
    tolerance = golden.case.tolerance
    worst = float((error / np.hypot(cos, sin)).max() / EPS[tolerance.unit])
    return Told(int(worst > tolerance.bound), cos.size, worst, tolerance.bound)


@pytest.mark.parametrize("case", [*HOLD, *FAIL])
def test_a_reader_measures_the_error_of_the_naive_formula(command: list[str], case: str) -> None:
    found, right = told(command, case), expected(case)
    assert (found.code, found.pairs) == (int(case in FAIL), right.pairs)
    assert found.code == right.code
    # cos and sin of another library may differ by an ulp of float64.
    assert found.worst == pytest.approx(right.worst, rel=1e-5)
    assert found.allowed == pytest.approx(right.allowed, rel=1e-5)


@pytest.mark.parametrize("arguments", [["golden", "no/such/case"], ["nowhere"], []])
def test_what_is_not_there_is_an_error(command: list[str], arguments: list[str]) -> None:
    done = run(command, *arguments)
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    assert done.stderr


def test_a_changed_golden_is_noticed(command: list[str], tmp_path: Path) -> None:
    case = "registry/Phi-2/cos_sin"
    for file in (ROOT / "golden").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    place = next(
        line for line in (tmp_path / "manifest.json").read_text("utf-8").splitlines()
        if line.startswith(f'{{"id": "{case}"')
    )  # fmt: skip
    file, offset = re.findall(r'"sin": {"file": "([^"]*)", "offset": (\d+)', place)[0]
    data = bytearray((tmp_path / file).read_bytes())
    data[int(offset) + 4 * 20 + 3] ^= 0x80  # the sign of the 21st sine
    (tmp_path / file).write_bytes(data)
    assert run(command, str(tmp_path), case).returncode == 1


def test_the_page_names_each_reader_and_its_command() -> None:
    page = (ROOT / "docs" / "goldens.md").read_text("utf-8")
    for language in LANGUAGES.values():
        row = next(line for line in page.splitlines() if f"(goldens/{language.file})" in line)
        assert " ".join(language.build or (language.needs,)) in row
