"""What numbers depend on besides the code: date, card, driver, versions."""

from __future__ import annotations

import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

__all__ = ["environment"]

PACKAGES = {
    "torch": ("torch",),
    "triton": ("triton",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "cuda-bindings": ("cuda-bindings",),
    "transformers": ("transformers",),
    "liger-kernel": ("liger-kernel",),
    "numpy": ("numpy",),
}


def environment() -> dict[str, str]:
    """Describe this machine.

    Returns
    -------
    dict of str to str
        Names and values, in the order of a page's head.
    """
    import torch

    card = torch.cuda.get_device_properties()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "card": f"{card.name}, {card.multi_processor_count} multiprocessors, "
        f"{card.L2_cache_size / 1e6:.0f} MB of L2, {card.total_memory / 1e9:.0f} GB",
        "driver": _driver(),
        "CUDA of torch": str(torch.version.cuda),
        "python": platform.python_version(),
        **{name: _version(distributions) for name, distributions in PACKAGES.items()},
    }


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    run = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = run.stdout.split()
    return lines[0] if run.returncode == 0 and lines else "unknown"
