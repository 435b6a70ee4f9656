"""``python -m ropelab_cuda.bench``: check, measure, print, judge."""

from __future__ import annotations

import argparse
import math
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

from . import __doc__ as method
from .bars import verdicts
from .candidates import Candidate, candidates
from .check import worst_error
from .environment import environment
from .host import measure_host
from .inputs import Inputs
from .report import (
    Report,
    as_json,
    as_markdown,
    host_as_text,
    measurement_as_text,
    verdicts_as_text,
)
from .results import Measurement, Result
from .timing import device_times
from .workloads import BAR, WORKLOADS, Workload, cycle_for

SECONDS = 210  # for all workloads; what does not fit is left out, and said to be
LEAST, MOST = 0.3, 1.5  # seconds for the rounds of a workload


def measure(workload: Workload, seconds: float = MOST) -> Measurement:
    """Check every candidate, then time those that are right."""
    import torch

    # A limit on recompilations would make torch.compile fall back to eager after some workloads.
    torch.compiler.reset()
    torch.cuda.empty_cache()
    l2_bytes = torch.cuda.get_device_properties().L2_cache_size
    cycle = cycle_for(workload, l2_bytes, torch.cuda.mem_get_info()[0])
    inputs = Inputs(workload, cycle.sets)

    def call(candidate: Candidate, number: int) -> object:
        return candidate.call(inputs.sets[number])

    rows: dict[Candidate, Result] = {}
    for candidate in candidates(inputs):
        error, note = _checked(candidate, inputs)
        rows[candidate] = Result(
            candidate.name, candidate.layout, candidate.backward, error, None, note
        )
    right = [c for c, row in rows.items() if row.error <= c.tolerance]
    timings = device_times([partial(call, c) for c in right], cycle, seconds)
    for candidate, timing in zip(right, timings, strict=True):
        row = rows[candidate]
        failed = isinstance(timing, Exception)
        rows[candidate] = Result(
            row.name,
            row.layout,
            row.backward,
            row.error,
            None if isinstance(timing, Exception) else timing,
            f"{type(timing).__name__}: {timing}" if failed else "",
        )
    return Measurement(workload, cycle, tuple(rows.values()))


def _checked(candidate: Candidate, inputs: Inputs) -> tuple[float, str]:
    """Return a candidate's error, and why it has none."""
    try:
        error = worst_error(candidate, inputs)
    except Exception as failure:  # a peer may refuse a shape; ours may not, and the table says so
        lines = str(failure).splitlines() or [""]
        return math.inf, f"{type(failure).__name__}: {lines[0]}"
    return error, "" if error <= candidate.tolerance else "wrong"


def main(given: list[str] | None = None) -> int:
    """Run the benchmark.

    Parameters
    ----------
    given : list of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        0 if all of our results are right and every bar is cleared.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ropelab_cuda.bench",
        description=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one shape, and the host's time")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="after which no workload is begun"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables there")
    arguments = parser.parse_args(given)

    import torch

    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device")
    begun = perf_counter()
    report = Report(environment())
    print(
        "\n".join(f"{name:>14}  {value}" for name, value in report.environment.items()), flush=True
    )

    report.host = measure_host()
    print(f"\n{host_as_text(report.host)}", flush=True)
    workloads = (BAR,) if arguments.quick else WORKLOADS
    with torch.no_grad():
        for number, workload in enumerate(workloads):
            left = arguments.seconds - (perf_counter() - begun)
            if left < 0:
                report.left_out.append(str(workload))
                continue
            share = left / (len(workloads) - number) / 3  # checks and compilations take the rest
            report.measurements.append(measure(workload, min(MOST, max(LEAST, share))))
            print(f"\n{measurement_as_text(report.measurements[-1])}", flush=True)
            report.write(arguments.json, as_json)

    report.seconds = round(perf_counter() - begun, 1)
    of_mul = {row.name: row.of_mul for row in report.host["torch.no_grad"]}
    report.verdicts = verdicts(report.measurements, of_mul, workloads)
    print(f"\n{verdicts_as_text(report)}")
    report.write(arguments.json, as_json)
    report.write(arguments.markdown, as_markdown)
    wrong = [
        f"{measurement.workload}: {row.name}, {row.layout}: {row.note}"
        for measurement in report.measurements
        for row in measurement.results
        if row.is_ours and row.device is None
    ]
    if wrong:
        print("\n".join(["Some of our results are WRONG:", *wrong]))
    return 0 if not wrong and all(verdict.holds for verdict in report.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
