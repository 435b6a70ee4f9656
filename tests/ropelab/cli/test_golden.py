"""The frozen cases: listed, shown and checked."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from ropelab import widen
from ropelab.golden import DIRECTORY, load
from tests.ropelab.cli.support import document, fails, ropelab

CASE = "spectrum/llama-2-7b"


def test_the_list_is_the_manifest() -> None:
    assert [row["id"] for row in document("golden", "list")] == [g.case.id for g in load()]
    by_op = document("golden", "list", "--op", "refused", "--flag", "BadInput")
    assert (
        0 < len(by_op) == sum(g.case.op == "refused" and "BadInput" in g.case.flags for g in load())
    )
    assert CASE in ropelab("golden", "list", "spectrum", "llama-2").stdout


def test_nothing_listed() -> None:
    assert document("golden", "list", "gorilla", code=1) == []


def test_names_that_there_are_not() -> None:
    """M1 is what `show` calls a flag's mechanism, and no flag."""
    fails(2, "'--flag'", "HalfPrecisionTables, ", arguments=("golden", "list", "--flag", "M1"))
    fails(2, "'--op'", "apply_rotary, ", arguments=("golden", "list", "--op", "rotate"))
    none = ("golden", "list", "--op", "spectrum", "--flag", "SeedOneKey")
    assert document(*none, code=1) == []


def test_a_case_with_its_numbers() -> None:
    found = document("golden", "show", CASE)
    golden = {g.case.id: g for g in load()}[CASE]
    expected = {name: each["values"] for name, each in found["expected"].items()}
    assert expected == {name: each.tolist() for name, each in golden.expected.items()}
    assert found["tolerance"]["why"] == golden.case.tolerance.why
    said = ropelab("golden", "show", CASE).stdout
    assert "catches FrequencyRule: M6. The scaling rule dropped or wrong" in said
    assert golden.case.tolerance.why in said


def test_formats_that_numpy_lacks_are_shown_as_numbers() -> None:
    golden = next(g for g in load() if any(each.dtype.fields for each in g.expected.values()))
    found = document("golden", "show", golden.case.id)["expected"]
    for name, each in golden.expected.items():
        numbers = np.asarray(found[name]["values"], np.float64)
        given = widen(each) if each.dtype.fields else each
        np.testing.assert_array_equal(numbers, np.where(np.isfinite(given), given, np.nan))


def test_every_case_can_be_shown() -> None:
    for golden in load()[::150]:
        assert ropelab("golden", "show", golden.case.id).exit_code == 0


def test_an_unknown_case() -> None:
    fails(3, "the nearest ids are", CASE, arguments=("golden", "show", "spectrum/llama-2-8b"))
    fails(3, "nearest", "rotary/", arguments=("golden", "show", "rotary"))
    fails(3, "ropelab golden list", arguments=("golden", "show", ""))


def test_the_check_says_sound() -> None:
    result = ropelab("golden", "check", "--no-oracle", "--no-zoo", "--json")
    assert result.exit_code == 0
    assert "VERDICT: sound" in result.stderr
    found = json.loads(result.stdout)
    assert found == {
        "sound": True,
        "goldens": len(load()),
        "failed": [],
        "problems": [],
        "survivors": [],
    }


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ((), ["--no-write"]),
        (("--write",), []),
        (("--no-oracle", "--no-zoo"), ["--no-write", "--no-oracle", "--no-zoo"]),
    ],
)
def test_the_check_writes_only_if_asked_to(
    monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], handed_on: list[str]
) -> None:
    calls: list[list[str]] = []

    def note(arguments: list[str]) -> int:
        calls.append(arguments)
        return 1

    monkeypatch.setattr("ropelab.golden.__main__.main", note)
    assert ropelab("golden", "check", *given).exit_code == 1
    assert calls == [["--directory", str(DIRECTORY), *handed_on]]


def test_the_check_says_broken(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(DIRECTORY, folder)
    file = folder / "spectrum.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    result = ropelab("golden", "check", "--directory", folder, "--no-oracle", "--no-zoo")
    assert result.exit_code == 1
    assert "spectrum.bin: changed since it was frozen" in result.stdout


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for command in (("check",), ("list",), ("show", CASE)):
        arguments = ("golden", *command, "--directory", tmp_path / "no")
        fails(3, "no such folder", arguments=arguments)
    fails(3, "no goldens there", arguments=("golden", "list", "--directory", tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    fails(3, "damaged", arguments=("golden", "list", "--directory", tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    fails(3, "damaged", arguments=("golden", "list", "--directory", tmp_path))


def test_without_mpmath(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ropelab.golden")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mpmath", None)
    fails(5, 'pip install "ropelab[golden]"', "mpmath", arguments=("golden", "list"))


def test_a_folder_beside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropelab.golden.DIRECTORY", tmp_path / "site-packages" / "golden")
    monkeypatch.chdir(tmp_path)
    fails(3, "no such folder", arguments=("golden", "list"))
    (tmp_path / "golden").mkdir()
    fails(3, "no such folder", arguments=("golden", "list"))
    shutil.copytree(DIRECTORY, tmp_path / "golden", dirs_exist_ok=True)
    assert len(document("golden", "list")) == len(load())


def test_alone_it_says_what_there_is() -> None:
    result = ropelab("golden")
    assert (result.exit_code, result.stdout) == (0, ropelab("golden", "--help").stdout)


def test_a_command_that_there_is_not() -> None:
    fails(2, "No such command", arguments=("golden", "chek"))
