"""The readers of docs/goldens.md, in other languages, read goldens and tell right from wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ropelab.golden import load
from tests.readers.languages import FOLDER, LANGUAGES, ROOT

GOLDENS = {golden.case.id: golden for golden in load()}
LONGEST, WIDEST = 40, 100  # lines of a file, characters of a line
PHI_2 = "registry/Phi-2/cos_sin"
CASE = f'{{"id": "{PHI_2}", '
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}

# Float64 products do at float32, and at 2**31 do not at float64: the reader must say so.
HOLD = (
    "cos_sin/default/exact/float32",
    "cos_sin/default/exact/float32/scaled",
    "cos_sin/llama3/exact/float32",
    PHI_2,
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


def run(command: list[str], *arguments: str, leaks: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it; at an error's exit, what it holds is left to the system and is no leak."""
    settings = {**os.environ, "ASAN_OPTIONS": f"detect_leaks={leaks}"}
    line = [*command, *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, env=settings)


def told(command: list[str], case: str) -> Told:
    done = run(command, str(ROOT / "golden"), case, leaks=1)
    said = re.fullmatch(r"(\d+) pairs, worst (\S+) eps, allowed (\S+)\n", done.stdout)
    assert said is not None, done.stderr
    assert done.stderr == ""
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


def refused(done: subprocess.CompletedProcess[str], named: str) -> None:
    """Assert that it has ended by itself, with an error that names the thing."""
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert not re.search("Sanitizer|runtime error|panicked|undefined", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["golden", "no/such/case"], "no/such/case"),
        (["golden", "rotary/bhsd/half/float32"], "cos"),  # which is no case of cos_sin
        (["golden", "cos_sin/default/exact/bfloat16"], "bfloat16"),
        (["nowhere"], "nowhere/manifest.json"),
        ([], "the folder of the goldens"),
    ],
)
def test_what_is_not_there_is_an_error(
    command: list[str], arguments: list[str], named: str
) -> None:
    refused(run(command, *arguments), named)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a folder of what Phi-2's case needs."""
    for name in ("manifest.json", "registry.bin"):
        (tmp_path / name).write_bytes((ROOT / "golden" / name).read_bytes())
    return tmp_path


def place_of(name: str) -> tuple[int, int]:
    """Return where an expected array of Phi-2 begins and ends in its file."""
    manifest = json.loads((ROOT / "golden" / "manifest.json").read_text("utf-8"))
    array = next(one for one in manifest["cases"] if one["id"] == PHI_2)["expected"][name]
    return array["offset"], array["offset"] + 4 * int(np.prod(array["shape"]))


@pytest.mark.parametrize("name", ["cos", "sin"])
@pytest.mark.parametrize("wrong", [-1.0, np.nan], ids=["sign", "nan"])
def test_a_changed_golden_is_noticed(
    command: list[str], copied: Path, name: str, wrong: float
) -> None:
    assert run(command, str(copied), PHI_2).returncode == 0
    begin, end = place_of(name)
    data = bytearray((copied / "registry.bin").read_bytes())
    np.frombuffer(data, "<f4", (end - begin) // 4, begin)[20] *= wrong
    (copied / "registry.bin").write_bytes(data)
    assert run(command, str(copied), PHI_2).returncode == 1


@pytest.mark.parametrize("kept", [place_of("sin")[1] - 1, place_of("sin")[0] - 1, 0])
def test_a_truncated_file_is_an_error(command: list[str], copied: Path, kept: int) -> None:
    os.truncate(copied / "registry.bin", kept)
    refused(run(command, str(copied), PHI_2), "registry.bin")


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ('"inv_freq": {', '"frequencies": {', "inv_freq"),
        ('"cos": {', '"tan": {', "cos"),
        ('"dtype": "float32", "shape"', '"dtype": "float3", "shape"', "float3"),
        ('"file": "registry.bin"', '"file": "registers.bin"', "registers.bin"),
        ('"offset": 76208', '"offset": -8', ""),
        ('"offset": 76208', '"offset": 996937000', "registry.bin"),
        ('"offset": 76208', '"offset": 18446744073709551608', "registry.bin"),
        ('"shape": [3, 16]', '"shape": [3, 17]', "cos"),
        ('"shape": [3, 16]', '"shape": [3, 1000000000]', "registry.bin"),
        ('"shape": [3, 16]', '"shape": [3, 4294967296, 4294967296]', ""),
        ('"shape": [3, 16]', '"shape": [3, x', ""),
        ('"shape": [3, 16]}, "sin": ', "", ""),
        ('"tolerance"', "\n", ""),
    ],
)
def test_a_broken_manifest_is_an_error(
    command: list[str], copied: Path, right: str, wrong: str, named: str
) -> None:
    before, found, case = (copied / "manifest.json").read_text("utf-8").partition(CASE)
    assert right in case.partition("\n")[0]
    (copied / "manifest.json").write_text(before + found + case.replace(right, wrong, 1), "utf-8")
    refused(run(command, str(copied), PHI_2), named)


@pytest.mark.parametrize("kept", [0, 40, 300, 500, 700])
def test_a_truncated_manifest_is_an_error(command: list[str], copied: Path, kept: int) -> None:
    before, found, case = (copied / "manifest.json").read_text("utf-8").partition(CASE)
    (copied / "manifest.json").write_text(before + (found + case)[:kept], "utf-8")
    refused(run(command, str(copied), PHI_2), "")


def test_the_page_names_each_reader_and_its_command() -> None:
    page = (ROOT / "docs" / "goldens.md").read_text("utf-8")
    for language in LANGUAGES.values():
        row = next(line for line in page.splitlines() if f"(goldens/{language.reader})" in line)
        assert f"(goldens/{language.check})" in row
        assert " ".join(language.build or (language.needs,)) in row
        for file in (language.reader, language.check):
            assert f"```{{literalinclude}} goldens/{file}\n" in page


def test_a_file_is_short_enough_to_copy() -> None:
    files = [file for language in LANGUAGES.values() for file in (language.reader, language.check)]
    assert sorted(files) == sorted(file.name for file in FOLDER.iterdir())
    for file in files:
        lines = (FOLDER / file).read_text("utf-8").splitlines()
        assert len(lines) <= LONGEST, file
        assert max(map(len, lines)) <= WIDEST, file
