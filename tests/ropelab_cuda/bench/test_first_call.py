"""How the processes are told where to find a kernel, and how their times are judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ropelab_cuda
from ropelab_cuda.bench import first_call as program


@pytest.mark.parametrize(("disk", "status"), [(49.0, 0), (51.0, 1)])
def test_each_way_gets_its_folders_and_bound(
    disk: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[tuple[bool, bool]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        assert command[0] == sys.executable
        cache, shipped = Path(env["CUPY_CACHE_DIR"]), env["ROPELAB_CUBINS"]
        seen.append((cache.exists(), bool(shipped)))
        if not shipped:
            cache.mkdir(exist_ok=True)
        milliseconds = 3.0 if shipped else disk if seen[-1][0] else 900.0
        times = {"compile and load": milliseconds, "second call": 0.1}
        return subprocess.CompletedProcess(command, 0, f"noise\n{json.dumps(times)}\n", "")

    def save(folder: Path, *_: Any, **__: Any) -> None:
        folder.mkdir()

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(ropelab_cuda, "save_cubins", save)
    monkeypatch.setattr(sys, "argv", ["first_call", "--json", str(tmp_path / "first.json")])
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert program.main() == status
    assert seen == [(False, False), (True, False), (False, True)] * program.REPEATS
    written = json.loads((tmp_path / "first.json").read_text())
    assert written["ways"]["compiled"]["compile and load"] == 900.0
    assert written["ways"]["from a shipped cubin"]["compile and load"] == 3.0
    assert ("MISSES" in capsys.readouterr().out) == bool(status)
    assert os.environ["CUPY_CACHE_IN_MEMORY"] == "1"


def test_a_failed_process_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "no device")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="no device"):
        program._in_a_new_process(tmp_path, None)
