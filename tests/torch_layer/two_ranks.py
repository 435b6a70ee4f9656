"""Two processes of torch.distributed, which go through the same checks."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

__all__ = ["Checks", "failures", "go_through"]

ROOT = Path(__file__).parents[2]
RANKS = 2
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}

Checks = Mapping[str, Callable[[Any], None]]


def failures(module: str, device: str, folder: Path) -> dict[str, str]:
    """Run a module's checks on two ranks; return what each check that ended said on either."""
    command = [sys.executable, "-m", module, device, str(folder)]
    logs = [folder / f"{rank}.log" for rank in range(RANKS)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("w") as file:
            processes.append(
                subprocess.Popen([*command, str(rank)], cwd=ROOT, stdout=file, stderr=file)
            )
    try:
        statuses = [process.wait(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert statuses == [0] * RANKS, "\n".join(log.read_text("utf-8")[-2000:] for log in logs)
    said = [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(RANKS)]
    return {name: said[0][name] + said[1][name] for name in said[0] if name in said[1]}


def go_through(checks: Checks, arguments: list[str]) -> None:
    """Go through checks as one rank, up to the first that fails; the ranks part company there."""
    device, folder, rank = arguments[0], Path(arguments[1]), int(arguments[2])
    torch.set_num_threads(1)
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(
        BACKENDS[device],
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=60),
    )
    mesh = init_device_mesh(device, (RANKS,))
    said = {}
    for name, check in checks.items():
        try:
            check(mesh)
        except Exception:  # said to the process that asked
            said[name] = f"rank {rank}: {traceback.format_exc()}"
            break
        said[name] = ""
    (folder / f"{rank}.json").write_text(json.dumps(said), "utf-8")
    if not any(said.values()):
        dist.destroy_process_group()
