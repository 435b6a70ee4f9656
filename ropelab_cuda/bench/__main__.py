"""``python -m ropelab_cuda.bench``: check, measure, print, judge."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from . import __doc__ as method
from .candidates import Candidate, candidates, worst_error
from .environment import environment
from .inputs import Inputs
from .report import as_json, as_markdown, as_text
from .results import OURS, Measurement, Result, verdict
from .timing import device_times, host_time
from .workloads import BAR, WORKLOADS, Workload, cycle_for


def measure(workload: Workload) -> Measurement:
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

    everyone = candidates(inputs)
    errors = [worst_error(candidate, inputs) for candidate in everyone]
    right = [c for c, error in zip(everyone, errors, strict=True) if error <= c.tolerance]
    calls = [partial(call, candidate) for candidate in right]
    device = dict(zip(right, device_times(calls, cycle), strict=True))
    host = {c: host_time(function) for c, function in zip(right, calls, strict=True)}
    number = torch.ones(1, device="cuda")
    results = tuple(
        Result(c.name, c.layout, error, device.get(c), host.get(c))
        for c, error in zip(everyone, errors, strict=True)
    )
    mul_host = host_time(lambda _: torch.mul(number, number))
    return Measurement(workload, cycle, mul_host, results)


def main() -> int:
    """Run the benchmark.

    Returns
    -------
    int
        0 if all of our results are right and the bar is met.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ropelab_cuda.bench",
        description=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="only the shape of the bar")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables there")
    arguments = parser.parse_args()

    import torch

    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device")
    where = environment()
    print("\n".join(f"{name:>14}  {value}" for name, value in where.items()), flush=True)

    measurements = []
    with torch.no_grad():
        for workload in (BAR,) if arguments.quick else WORKLOADS:
            measurements.append(measure(workload))
            print(f"\n{as_text(measurements[-1])}", flush=True)

    for path, write in ((arguments.json, as_json), (arguments.markdown, as_markdown)):
        if path is not None:
            path.write_text(write(where, measurements), encoding="utf-8")
    judged = verdict(measurements[0])
    print(f"\n{measurements[0].workload}:")
    print("\n".join(sentence for sentence, _ in judged))
    right = all(
        result.device is not None
        for measurement in measurements
        for result in measurement.results
        if result.name.startswith(OURS)
    )
    if not right:
        print("Some of our results are WRONG; see the tables.")
    return 0 if right and all(holds for _, holds in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
