"""``python -m ropelab_cuda.bench.linearity``: time against tokens, from a thousand to 17 million.

Rotating n tokens is to cost a + b n: a for the launch, b for the bytes of a token. Both are fitted
to all points, and a step is how far two neighbouring points lie apart from each other as shares of
that line. In place, 8/1 heads of 128; every call takes another part of one large buffer, so that
nothing is found in the cache but where the whole buffer fits into it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ropelab
import ropelab_cuda

from .environment import environment
from .inputs import BASE
from .timing import Timing, device_times
from .workloads import GUESSED_BANDWIDTH, GUESSED_LAUNCH, SECONDS, Cycle

__all__ = ["LARGEST_STEP", "Line", "fit", "measure_points"]

LARGEST_STEP = 0.10
Q_HEADS, K_HEADS, HEAD_DIM = 8, 1, 128
TOKEN_BYTES = 2 * (Q_HEADS + K_HEADS) * HEAD_DIM  # of bfloat16
# Powers of two, and points between them.
POINTS = tuple(sorted({2**p for p in range(10, 25)} | {3 * 2 ** (p - 1) for p in range(10, 24)}))


@dataclass(frozen=True)
class Line:
    """The line a + b n, and the largest step beside it.

    Parameters
    ----------
    latency : float
        Microseconds of no tokens.
    slope : float
        Microseconds a token.
    step : float
        The largest change, from one point to the next, of the time as a share of the line.
    between : (int, int)
        The tokens at its two ends.
    """

    latency: float
    slope: float
    step: float
    between: tuple[int, int]


def fit(tokens: Sequence[int], microseconds: Sequence[float]) -> Line:
    """Fit a line, with errors counted as shares of the times.

    Parameters
    ----------
    tokens : sequence of int
        Ascending.
    microseconds : sequence of float
        Time of a call.

    Returns
    -------
    Line
        Latency, slope, and the largest step.

    Examples
    --------
    >>> fit([1000, 2000, 4000], [3.0, 5.0, 9.0]).step < 1e-9
    True
    >>> round(fit([1000, 2000, 4000, 8000], [3.0, 5.0, 12.0, 20.0]).step, 2)
    0.24
    """
    n, t = np.asarray(tokens, float), np.asarray(microseconds, float)
    weighted = np.stack([1.0 / t, n / t], axis=1)
    (latency, slope), *_ = np.linalg.lstsq(weighted, np.ones(len(t)))
    if latency < 0.0:  # nothing costs less than nothing
        latency, slope = 0.0, float((n / t).sum() / (n / t * n / t).sum())
    shares = t / (latency + slope * n)
    steps = np.abs(shares[1:] / shares[:-1] - 1.0)
    worst = int(np.argmax(steps))
    return Line(
        float(latency), float(slope), float(steps[worst]), (tokens[worst], tokens[worst + 1])
    )


def measure_points(points: Sequence[int] = POINTS, seconds: float = 0.15) -> dict[int, Timing]:
    """Measure a rotation of each number of tokens for which there is memory.

    Parameters
    ----------
    points : sequence of int
        Numbers of tokens.
    seconds : float, default 0.15
        For the rounds of a point.

    Returns
    -------
    dict of int to Timing
        By the number of tokens.
    """
    import torch

    free = torch.cuda.mem_get_info()[0]
    fitting = [n for n in points if n * (TOKEN_BYTES + 8) <= 0.9 * free]
    most = max(fitting)
    tensors: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    q, k = (torch.empty(most, heads, HEAD_DIM, **tensors) for heads in (Q_HEADS, K_HEADS))
    for tensor in (q, k):
        for part in torch.split(tensor, 1 << 20):
            part.normal_()
    positions = torch.arange(most, device="cuda")
    spectrum = ropelab.Rope(HEAD_DIM, base=BASE).spectrum()
    found = {}
    for n in fitting:
        moved = 2 * n * TOKEN_BYTES
        calls = max(2, int(SECONDS / (moved / GUESSED_BANDWIDTH + GUESSED_LAUNCH)))
        windows = [slice(i * n, (i + 1) * n) for i in range(min(calls, most // n))]
        parts = [(q[window], k[window], positions[window]) for window in windows]

        def call(number: int, parts: list[Any] = parts) -> object:
            x, y, ids = parts[number]
            return ropelab_cuda.apply_rotary_qk_(x, y, ids, spectrum, tensor_format="thd")

        call(0)
        cycle = Cycle(len(parts), calls, 0.0)
        (timing,) = device_times([call], cycle, seconds)
        if isinstance(timing, Exception):
            raise timing
        found[n] = timing
        print(
            f"{n:>10} tokens  {timing.median:12.3f} μs  {timing.median / n * 1e6:9.2f} ps a token"
        )
    return found


def main() -> int:
    """Measure, fit and judge.

    Returns
    -------
    int
        0 if no step is larger than `LARGEST_STEP`.
    """
    parser = argparse.ArgumentParser(prog="python -m ropelab_cuda.bench.linearity")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there")
    arguments = parser.parse_args()
    where = environment()
    print(where["card"])
    import torch

    with torch.no_grad():
        found = measure_points()
    line = fit([*found], [timing.median for timing in found.values()])
    holds = line.step <= LARGEST_STEP
    print(
        f"{line.latency:.3f} μs + {line.slope * 1e6:.2f} ps a token; largest step "
        f"{100 * line.step:.1f} % (from {line.between[0]} to {line.between[1]} tokens), bound "
        f"{100 * LARGEST_STEP:.0f} %: {'holds' if holds else 'MISSES'}"
    )
    if arguments.json is not None:
        content = {
            "environment": where,
            "heads": [Q_HEADS, K_HEADS, HEAD_DIM],
            "line": asdict(line),
            "bound": LARGEST_STEP,
            "points": [{"tokens": n} | asdict(timing) for n, timing in found.items()],
        }
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
