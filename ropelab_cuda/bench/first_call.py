"""``python -m ropelab_cuda.bench.first_call``: what the first call of a process waits for.

Three ways to come by a kernel, each in processes of their own: compiled, with an empty cache; from
the cache on disk; from a cubin that was shipped, with an empty cache. Torch, CuPy and the CUDA
context are there before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import ropelab
import ropelab_cuda

from ..cubins import SHIPPED
from .inputs import BASE

__all__ = ["BOUNDS", "WAYS", "first_call"]

WAYS = ("compiled", "from the disk cache", "from a shipped cubin")
BOUNDS = {"compiled": 1500.0, "from the disk cache": 50.0}  # milliseconds to compile and load
REPEATS = 3
Q_HEADS, K_HEADS, HEAD_DIM = 32, 8, 128


def first_call() -> dict[str, float]:
    """Rotate one token, twice, in a process that has not done so before.

    Returns
    -------
    dict of str to float
        Milliseconds: to compile and load the kernel, of the first call after that, and of the
        second one.
    """
    import torch

    rope = ropelab.Rope(HEAD_DIM, base=BASE)
    spectrum = rope.spectrum()
    q, k = (
        torch.ones(1, 1, heads, HEAD_DIM, device="cuda", dtype=torch.bfloat16)
        for heads in (Q_HEADS, K_HEADS)
    )
    ids = torch.ones(1, 1, device="cuda", dtype=torch.int64)
    torch.cuda.synchronize()
    times = [perf_counter()]
    ropelab_cuda.warmup(rope, q_heads=Q_HEADS, k_heads=K_HEADS, in_place=True, tokens=[(1, 1)])
    times.append(perf_counter())
    for _ in range(2):
        ropelab_cuda.apply_rotary_qk_(q, k, ids, spectrum)
        torch.cuda.synchronize()
        times.append(perf_counter())
    names = ("compile and load", "first call after it", "second call")
    pairs = zip(names, times, times[1:], strict=False)
    return {name: 1e3 * (end - start) for name, start, end in pairs}


def _in_a_new_process(cache: Path, shipped: Path | None) -> dict[str, float]:
    variables = {**os.environ, "CUPY_CACHE_DIR": str(cache), SHIPPED: str(shipped or "")}
    variables.pop("CUPY_CACHE_IN_MEMORY", None)
    command = [sys.executable, "-m", "ropelab_cuda.bench.first_call", "--child"]
    run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def _measure(folder: Path) -> dict[str, dict[str, float]]:
    """Return the medians of each way."""
    shipped = folder / "shipped"
    rope = ropelab.Rope(HEAD_DIM, base=BASE)
    wanted: dict[str, Any] = {
        "q_heads": Q_HEADS,
        "k_heads": K_HEADS,
        "in_place": True,
        "tokens": [(1, 1)],
    }
    ropelab_cuda.save_cubins(shipped, rope, **wanted)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(REPEATS):
        cache = folder / f"cache-{number}"
        found[WAYS[0]].append(_in_a_new_process(cache, None))
        found[WAYS[1]].append(_in_a_new_process(cache, None))
        found[WAYS[2]].append(_in_a_new_process(folder / f"empty-{number}", shipped))
        left = list((folder / f"empty-{number}").rglob("*.cubin"))
        assert not left, f"compiled although it was shipped: {left}"
    return {
        way: {name: round(median(run[name] for run in runs), 3) for name in runs[0]}
        for way, runs in found.items()
    }


def main() -> int:
    """Measure and judge.

    Returns
    -------
    int
        0 if compiling and loading keep within `BOUNDS`.
    """
    parser = argparse.ArgumentParser(prog="python -m ropelab_cuda.bench.first_call")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(first_call()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = _measure(Path(folder))
    holds = True
    for way, times in found.items():
        line = "; ".join(f"{name} {value:.1f} ms" for name, value in times.items())
        bound = BOUNDS.get(way)
        if bound is not None:
            cleared = times["compile and load"] <= bound
            holds = holds and cleared
            line += f"; bound {bound:.0f} ms: {'holds' if cleared else 'MISSES'}"
        print(f"{way:>20}: {line}")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"unit": "milliseconds", "bounds": BOUNDS, "ways": found}, indent=1),
            encoding="utf-8",
        )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
