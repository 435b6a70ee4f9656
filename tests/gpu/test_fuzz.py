"""Fuzzed calls on the GPU: 300 in the suite, 20,000 in many processes by ``.ci/gpu fuzz``."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.campaign import campaign, table
from tests.fuzz.devices import on_gpu
from tests.fuzz.errors import BOUNDS
from tests.fuzz.operations import OPERATIONS

pytestmark = pytest.mark.gpu

COUNT = int(os.environ.get("ROPELAB_FUZZ_CASES", "300"))
SEED = int(os.environ.get("ROPELAB_FUZZ_SEED", "20251125"))
PROCESSES = int(os.environ.get("ROPELAB_FUZZ_PROCESSES", "1"))


def test_fuzzed_calls_do_as_specified() -> None:
    rows = campaign(COUNT, SEED, PROCESSES, on_gpu)
    kinds = sum(len(operation.kinds) for operation in OPERATIONS.values())
    told = f"{COUNT} cases of {kinds} kinds, seed {SEED}, {PROCESSES} processes"
    print(f"\n{told}; worst error of a pair, in eps:")
    print(table(rows))
    assert {name for name, _ in rows} == {*OPERATIONS}
    assert {unit for _, unit in rows} >= {*BOUNDS}
