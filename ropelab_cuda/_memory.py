"""What the gate asks of the memory behind a tensor."""

from __future__ import annotations

from typing import Any

from ropelab.dlpack import CUDA_DEVICES, Exported

from .overlaps import overlaps_itself
from .views import ITEM_BYTES, View

__all__ = ["check_elements_apart", "check_last_stride", "check_memory", "check_written"]


def check_memory(exported: Exported, x: Any, name: str) -> None:
    if exported.device_type not in CUDA_DEVICES:
        where = {1: "the CPU", 3: "the CPU (pinned)"}.get(
            exported.device_type, f"DLPack device type {exported.device_type}"
        )
        msg = (
            f"{name}: expected a tensor on a CUDA device; got a {type(x).__name__} on {where}; "
            f"move it to the GPU, or use ropelab, which does the same on the CPU"
        )
        raise ValueError(msg)
    if 0 in exported.shape:
        return
    if exported.pointer == 0:
        msg = f"{name}: this {type(x).__name__} has no memory behind it; materialise it first"
        raise ValueError(msg)
    if exported.pointer % ITEM_BYTES.get(exported.dtype, 1):
        msg = (
            f"{name}: expected elements aligned to their {ITEM_BYTES[exported.dtype]} bytes; got "
            f"address {exported.pointer:#x}; clone it"
        )
        raise ValueError(msg)


def check_last_stride(view: View, name: str) -> None:
    if view.size and view.shape and view.shape[-1] > 1 and view.strides[-1] != 1:
        msg = (
            f"{name}: expected channels that adjoin in memory (last stride 1); got shape "
            f"{view.shape} with strides {view.strides}; make it contiguous"
        )
        raise ValueError(msg)


def check_written(view: View, name: str) -> None:
    check_last_stride(view, name)
    check_elements_apart(view, name)


def check_elements_apart(view: View, name: str) -> None:
    if overlaps_itself(view):
        msg = (
            f"{name}: expected memory of its own for every element; got shape {view.shape} with "
            f"strides {view.strides}, where elements share memory; clone it"
        )
        raise ValueError(msg)
