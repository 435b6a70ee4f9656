"""The fixed parts of the kernels' parameters, field by field as the CUDA sources have them.

Strides count elements; an address of 0 stands for what is not there.
"""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_int64, c_uint64

__all__ = [
    "AllPositions",
    "CacheStrides",
    "Consecutive",
    "LargestPositions",
    "Norm",
    "Offset",
    "Operand",
    "Packed",
    "Positions",
    "RotaryCached",
    "Slots",
    "Table",
    "Tensors",
    "TokenGrid",
]


class TokenGrid(ctypes.Structure):
    """Numbers of tokens along both token axes, and of blocks along the inner one."""

    _fields_ = (("outer", c_int64), ("inner", c_int64), ("groups", c_int64))


class Operand(ctypes.Structure):
    """A query or key tensor and where its rotation goes; strides count elements.

    `scale` is the address of a float32, or 0 if `inverse_scale` is given.
    """

    _fields_ = (
        ("x", c_uint64),
        ("out", c_uint64),
        ("x_outer", c_int64),
        ("x_inner", c_int64),
        ("x_head", c_int64),
        ("out_outer", c_int64),
        ("out_inner", c_int64),
        ("out_head", c_int64),
        ("heads", c_int64),
        ("inverse_scale", c_double),
        ("scale", c_uint64),
    )


class Tensors(ctypes.Structure):
    """Queries and keys over the same tokens."""

    _fields_ = (("q", Operand), ("k", Operand), ("grid", TokenGrid))


class Positions(ctypes.Structure):
    """Position ids over the same tokens."""

    _fields_ = (
        ("data", c_uint64),
        ("axis_stride", c_int64),
        ("outer_stride", c_int64),
        ("inner_stride", c_int64),
    )


class Slots(ctypes.Structure):
    """Slots over the same tokens; `overrun` is the address of an int32, or 0."""

    _fields_ = (
        ("data", c_uint64),
        ("outer_stride", c_int64),
        ("inner_stride", c_int64),
        ("count", c_int64),
        ("block_size", c_int64),
        ("overrun", c_uint64),
    )


class CacheStrides(ctypes.Structure):
    """Steps from block to block of a cache, and from row to row, in elements."""

    _fields_ = (("block", c_int64), ("row", c_int64))


class Offset(ctypes.Structure):
    """Where sequences start: a number, plus those in device memory unless `data` is 0."""

    _fields_ = (("data", c_uint64), ("number", c_int64))


class Consecutive(ctypes.Structure):
    """Positions that follow one another; strides count offsets and places in a sequence."""

    _fields_ = (
        ("offset", Offset),
        ("offset_outer", c_int64),
        ("offset_inner", c_int64),
        ("place_outer", c_int64),
        ("place_inner", c_int64),
    )


class Packed(ctypes.Structure):
    """Positions that start again at each sequence of a pack."""

    _fields_ = (
        ("cu_seqlens", c_uint64),
        ("stride", c_int64),
        ("sequences", c_int64),
        ("offset", Offset),
        ("offset_stride", c_int64),
        ("cp_size", c_int64),
        ("cp_rank", c_int64),
    )


class AllPositions(ctypes.Structure):
    """Every position id of a call, of which the largest is wanted."""

    _fields_ = (
        ("positions", Positions),
        ("outer", c_int64),
        ("inner", c_int64),
        ("count", c_int64),
    )


class LargestPositions(ctypes.Structure):
    """Parameters of largest_positions.cu."""

    _fields_ = (("all", AllPositions), ("largest", c_uint64))


class Norm(ctypes.Structure):
    """Weights of one tensor's heads, 0 for none, and the share of a channel in the mean."""

    _fields_ = (("weights", c_uint64), ("head_stride", c_int64), ("share", c_double))


class Table(ctypes.Structure):
    """Given cosines or sines over the same tokens."""

    _fields_ = (("data", c_uint64), ("outer_stride", c_int64), ("inner_stride", c_int64))


class RotaryCached(ctypes.Structure):
    """Parameters of rotary_cached.cu, for a row a token."""

    _fields_ = (("tensors", Tensors), ("cos", Table), ("sin", Table), ("direction", c_double))
