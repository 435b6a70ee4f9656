"""The benchmark is handed its options, and says in one line that there is no GPU."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.ropelab.cli.support import fails, ropelab


def stand_in(monkeypatch: pytest.MonkeyPatch, *, gpu: bool) -> list[list[str]]:
    """Put a torch, a CuPy and a benchmark in place that only write down what they are asked."""
    calls: list[list[str]] = []

    def measure(given: list[str]) -> int:
        calls.append(given)
        print("measured")
        if "--json" in given:
            Path(given[given.index("--json") + 1]).write_text('{"seconds": 3}')
        return 1

    torch, bench = ModuleType("torch"), ModuleType("bench")
    torch.cuda = SimpleNamespace(is_available=lambda: gpu)  # type: ignore[attr-defined]
    bench.main = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "ropelab_cuda.bench.__main__", bench)
    return calls


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    fails(5, 'pip install "ropelab[torch]"', arguments=("bench",))


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stand_in(monkeypatch, gpu=False) == []
    fails(5, "bench needs a GPU", arguments=("bench", "--quick"))


def test_options_and_exit_code_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, gpu=True)
    result = ropelab("bench", "--quick", "--seconds", "12", "--markdown", "a.md")
    assert (result.exit_code, result.stdout) == (1, "measured\n")
    assert calls == [["--quick", "--seconds", "12.0", "--markdown", "a.md"]]


def test_json_stands_alone_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, gpu=True)
    result = ropelab("bench", "--json")
    assert json.loads(result.stdout) == {"seconds": 3}
    assert result.stderr == "measured\n"
