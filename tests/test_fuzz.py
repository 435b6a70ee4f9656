"""A few fuzzed calls on the CPU: the kernels' own source, the same cases as on the GPU."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

from ropelab.golden.case import Array
from ropelab_cuda.launch import Plan
from tests.fuzz import BOUNDS, unit_of, worst_error
from tests.fuzz_cases import KINDS, LAYOUTS, Case, Kind, cases
from tests.shim.builder import run
from tests.shim.on_cpu import on_cpu

SOME = KINDS[:6]  # each takes g++ a second


class Host:
    """NumPy, which does not tell a strided view's memory: so it is remembered."""

    def __init__(self) -> None:
        self.memories: list[tuple[Any, Array]] = []

    def put(self, memory: Array, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        return self._view(memory.copy(), shape, strides, at)

    def alike(self, tensor: Any, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        return self._view(self._memory(tensor), shape, strides, at)

    def memory(self, tensor: Any) -> Array:
        return self._memory(tensor).copy()

    def take(self, tensor: Any) -> Array:
        array: Array = tensor.copy()
        return array

    def _view(
        self, memory: Array, shape: tuple[int, ...], strides: tuple[int, ...], at: int
    ) -> Any:
        steps = tuple(stride * memory.itemsize for stride in strides)
        tensor = np.lib.stride_tricks.as_strided(memory[at:], shape, steps)
        self.memories.append((tensor, memory))
        return tensor

    def _memory(self, tensor: Any) -> Array:
        return next(memory for known, memory in self.memories if known is tensor)


@pytest.mark.shim
@seed(20_251_125)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases(SOME))
def test_the_kernels_do_as_specified(case: Case) -> None:
    with on_cpu():
        assert worst_error(case, Host()) <= BOUNDS[unit_of(case)]


PLAIN = Case(
    kind=Kind(
        "float32",
        (11, 4, 5),
        (3, 1),
        "half",
        "half",
        "exact",
        1,
        False,
        None,
        "int32",
        None,
        False,
        False,
    ),
    tokens=(2, 3),
    tensor_format="bhsd",
    way="out",
    order=(1, 2, 0),
    padding=(1, 2, 0, 1),
    lie="packed",
    inverse=True,
    rows="batch",
    positions="any",
    base=1e4,
    attention_factor=0.75,
    scale=1.0,
    seed=5,
)


@pytest.mark.shim
@pytest.mark.parametrize(
    ("at", "byte", "word"),
    [
        (-4, 0x00, "written outside"),
        (11 * 4, 0x00, "written outside"),  # between two rows
        (5 * 4, 0xFF, "NaN"),
        (4 * 4, 0x00, "channels that pass"),
        (8 * 4, 0x3F, "<= 2.0"),
    ],
    ids=["before", "after a row", "left out", "tail", "wrong"],
)
@pytest.mark.parametrize("way", ["out", "in place"])
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, way: str, at: int, byte: int, word: str
) -> None:
    def run_and_spoil(plan: Plan, **options: Any) -> None:
        run(plan, **options)
        row = plan.parameters.tensors.q.out - 5 * 4  # it points at the first rotated channel
        ctypes.memset(row + at, byte, 4)

    case = replace(PLAIN, way=way)
    with on_cpu():
        assert 0.0 < worst_error(case, Host()) <= BOUNDS["float32"]
    monkeypatch.setattr("tests.shim.on_cpu.run", run_and_spoil)
    with on_cpu(), pytest.raises(AssertionError, match=word):
        assert worst_error(case, Host()) <= BOUNDS["float32"]


def test_kinds_hold_every_option() -> None:
    for name, count in (
        ("dtype", 4),
        ("widths", 15),
        ("heads", 8),
        ("table_dtype", 5),
        ("integer", 7),
        ("output", 7),
    ):
        assert len({getattr(kind, name) for kind in KINDS}) == count
    assert {(kind.layout, kind.output_layout) for kind in KINDS} == set(product(LAYOUTS, LAYOUTS))
    assert {(kind.axes, kind.periodic) for kind in KINDS} == set(product((1, 3), (False, True)))
