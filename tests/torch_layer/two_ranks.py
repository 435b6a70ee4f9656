"""Two processes of torch.distributed, which go through the same checks, as long as both pass."""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import time
import traceback
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from tests.torch_layer import sharded, sharded_recipes

__all__ = ["CHECKS", "failures"]

CHECKS = {**sharded.CHECKS, **sharded_recipes.CHECKS}

ROOT = Path(__file__).parents[2]
RANKS = 2
LONGEST, GRACE = 180.0, 5.0  # seconds for all checks, and for a rank after the other has failed
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


def failures(device: str, folder: Path, checks: str = __name__) -> dict[str, str]:
    """Run a module's CHECKS on two ranks; return what each that both came to said, or ''."""
    command = [sys.executable, "-m", "tests.torch_layer.two_ranks", checks, device, str(folder)]
    environment = {**os.environ, "NCCL_NVLS_ENABLE": "0"}  # two GPUs need no multicast
    logs = [folder / f"{rank}.log" for rank in range(RANKS)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("w") as file:
            processes.append(
                subprocess.Popen(
                    [*command, str(rank)], cwd=ROOT, env=environment, stdout=file, stderr=file
                )
            )
    try:
        _wait(processes)
        statuses = [process.poll() for process in processes]
    finally:
        for process in processes:
            process.kill()
    files = [folder / f"{rank}.json" for rank in range(RANKS)]
    said = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
    wrong = {name: message for one in said for name, message in one.items() if message}
    assert wrong or statuses == [0] * RANKS, f"statuses {statuses}\n" + "\n".join(
        log.read_text("utf-8")[-3000:] for log in logs
    )
    together = set.intersection(*(set(one) for one in said)) if len(said) == RANKS else set()
    return dict.fromkeys(together, "") | wrong


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all are done; not for long, once one has parted from the others."""
    end = time.monotonic() + LONGEST
    while None in (statuses := [process.poll() for process in processes]):
        if any(statuses):
            end = min(end, time.monotonic() + GRACE)
        if time.monotonic() > end:
            return
        time.sleep(0.1)


def _go_through(checks: str, device: str, folder: Path, rank: int) -> None:
    """Go through the checks as one rank, up to the first that fails, where the ranks part."""
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(LONGEST - 2 * GRACE)
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(
        BACKENDS[device],
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=120),
    )
    mesh = init_device_mesh(device, (RANKS,))
    said = {}
    for name, check in import_module(checks).CHECKS.items():
        try:
            check(mesh)
        except (Exception, pytest.fail.Exception):  # said to the process that asked
            said[name] = f"rank {rank}: {traceback.format_exc()}"
            break
        said[name] = ""
    (folder / f"{rank}.json").write_text(json.dumps(said), "utf-8")
    if any(said.values()):
        faulthandler.cancel_dump_traceback_later()
        os._exit(1)  # the other rank may wait for this one for ever
    dist.destroy_process_group()


if __name__ == "__main__":
    _go_through(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
