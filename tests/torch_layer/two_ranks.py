"""Two processes of torch.distributed, which go through the same checks, as long as both pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from datetime import timedelta
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
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


def failures(device: str, folder: Path) -> dict[str, str]:
    """Run the checks on two ranks; return what each that both came to said on either, or ''."""
    command = [sys.executable, "-m", "tests.torch_layer.two_ranks", device, str(folder)]
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
        statuses = [process.wait(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert statuses == [0] * RANKS, "\n".join(log.read_text("utf-8")[-2000:] for log in logs)
    said = [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(RANKS)]
    return {name: said[0][name] + said[1][name] for name in said[0] if name in said[1]}


def _go_through(device: str, folder: Path, rank: int) -> None:
    """Go through the checks as one rank, up to the first that fails, where the ranks part."""
    torch.set_num_threads(1)
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
    for name, check in CHECKS.items():
        try:
            check(mesh)
        except (Exception, pytest.fail.Exception):  # said to the process that asked
            said[name] = f"rank {rank}: {traceback.format_exc()}"
            break
        said[name] = ""
    (folder / f"{rank}.json").write_text(json.dumps(said), "utf-8")
    if not any(said.values()):
        dist.destroy_process_group()


if __name__ == "__main__":
    _go_through(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
