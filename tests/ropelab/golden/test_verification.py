"""The check notices every change of a byte, a file, a case, or a bound."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ropelab.golden import DIRECTORY, SPECIFICATION, check, freeze_new, load, verify
from ropelab.golden.case import Array, Case
from ropelab.golden.families import catalogue
from ropelab.golden.files import integrity, manifest_of, sums
from ropelab.golden.operations import attest
from ropelab.golden.verification import MINIMUM_CASES, attestation

FILES = sorted(path.name for path in DIRECTORY.iterdir())


@pytest.fixture(autouse=True, scope="module")
def one_derivation() -> Iterator[None]:
    """Let the oracle derive each case once in this module; its answers depend on nothing else."""
    known: dict[str, dict[str, Array]] = {}

    def remembered(case: Case) -> dict[str, Array]:
        if case.id not in known:
            known[case.id] = attest(case)
        return known[case.id]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ropelab.golden.verification.attest", remembered)
        yield


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DIRECTORY, tmp_path / "golden"))


def reseal(directory: Path) -> None:
    """Make the checksums agree with changed files, as a careful forger would."""
    there = {p.name: p.read_bytes() for p in directory.iterdir() if p.name != "SHA256SUMS"}
    (directory / "SHA256SUMS").write_bytes(sums(there))


def test_the_frozen_goldens_hold() -> None:
    problems, results = check()
    assert problems == []
    assert [result.case.id for result in results if not result.passed] == []
    assert len(results) == len(catalogue()) >= MINIMUM_CASES


def test_the_files_are_small_and_the_manifest_lists_every_case_once() -> None:
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 6_000_000
    manifest = json.loads((DIRECTORY / "manifest.json").read_text("utf-8"))
    ids = [case["id"] for case in manifest["cases"]]
    assert len(set(ids)) == len(ids) == manifest["count"] >= 300
    assert all(case["tolerance"]["why"] for case in manifest["cases"])
    assert {flag for case in manifest["cases"] for flag in case["flags"]} <= set(manifest["flags"])


@pytest.mark.parametrize("name", FILES)
def test_flipping_any_byte_is_noticed(name: str, copy: Path) -> None:
    path = copy / name
    content = path.read_bytes()
    few = len(content) <= 3000
    places = range(len(content)) if few else random.Random(name).sample(range(len(content)), 60)
    for place in [0, len(content) - 1, *places]:
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        assert integrity(copy), f"byte {place} of {name}"
    path.write_bytes(content)
    assert integrity(copy) == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(name: str, copy: Path) -> None:
    (copy / name).unlink()
    assert any(name in problem for problem in check(copy, oracle=False)[0])


def test_a_foreign_file_is_noticed(copy: Path) -> None:
    (copy / "deep").mkdir()
    (copy / "deep" / "orphan.bin").write_bytes(b"")
    assert integrity(copy) == ["deep/orphan.bin: not in SHA256SUMS"]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".bin")])
def test_the_oracle_notices_a_forgery_with_fresh_checksums(name: str, copy: Path) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    reseal(copy)
    assert integrity(copy) == []
    assert f"{name}: differs from what the oracle derives" in attestation(copy)


@pytest.mark.parametrize("field", ["bound", "flags", "why"])
def test_a_loosened_bound_or_a_lost_flag_is_noticed(field: str, copy: Path) -> None:
    manifest = (copy / "manifest.json").read_text("utf-8")
    change = {
        "bound": ('"bound": 1.01', '"bound": 1.10'),
        "flags": ('"flags": ["Axes"]', '"flags": []'),
        "why": ("one eps for the last rounding", "two eps for the last rounding"),
    }[field]
    assert change[0] in manifest
    (copy / "manifest.json").write_text(manifest.replace(*change, 1), "utf-8")
    reseal(copy)
    assert any("manifest.json" in problem for problem in attestation(copy))


def test_a_removed_case_is_noticed_and_only_that_one_is_frozen_again(copy: Path) -> None:
    lines = (copy / "manifest.json").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if '"id": "to_interleaved/weight"' not in line]
    assert len(kept) == len(lines) - 1
    (copy / "manifest.json").write_text("".join(kept), "utf-8")
    reseal(copy)
    assert attestation(copy) == ["to_interleaved/weight: defined, but not frozen"]
    before = {path.name: path.read_bytes() for path in copy.glob("*.bin")}
    assert freeze_new(copy) == ["to_interleaved/weight"]
    assert {path.name: path.read_bytes() for path in copy.glob("*.bin")} == before
    assert freeze_new(copy) == []
    assert check(copy)[0] == []


def test_an_empty_set_cannot_pass(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"provenance": [], "cases": []}', "utf-8")
    reseal(tmp_path)
    problems, results = check(tmp_path, oracle=False)
    assert results == []
    assert problems == [f"expected at least {MINIMUM_CASES} cases; found 0"]


def test_the_files_give_back_the_cases_of_the_code() -> None:
    defined = {case.id: case for case in catalogue()}
    for golden in load():
        case = defined[golden.case.id]
        assert golden.case.op == case.op
        assert golden.case.tolerance == case.tolerance
        for name, array in case.arguments.items():
            assert golden.case.arguments[name].tobytes() == array.tobytes()
            assert golden.case.arguments[name].shape == array.shape


def test_an_implementation_that_raises_fails_with_its_words() -> None:
    def broken(*_: object, **__: object) -> np.ndarray:
        msg = "no such kernel"
        raise RuntimeError(msg)

    asked = [golden for golden in load() if golden.case.op == "apply_rotary"][:3]
    results = verify(asked, replace(SPECIFICATION, apply_rotary=broken))
    assert [result.message for result in results] == ["RuntimeError: no such kernel"] * 3
    assert all(math.isinf(result.error) and not result.passed for result in results)


def test_the_manifest_says_what_made_it() -> None:
    for entry in manifest_of(DIRECTORY)["provenance"]:
        assert {"cases", "python", "numpy", "mpmath"} <= set(entry)


def test_a_folder_without_goldens_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^directory: expected .* manifest\.json"):
        load(tmp_path)
