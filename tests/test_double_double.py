"""The arithmetic of double_double.cuh on the CPU, to the last of the bits that it promises.

Doubles of rules hardly tell: a power with an error of 2^-75 is rounded wrongly once in millions.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from ctypes import c_double, c_int
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import ropelab_cuda
from tests.shim import builder

pytestmark = pytest.mark.shim

KERNELS = Path(ropelab_cuda.__file__).with_name("kernels")
SOURCE = f"""
#include "{builder.HEADER}"
#include "{KERNELS / "double_double.cuh"}"
extern "C" void wide_logarithm(double x, double* out) {{
  const Wide y = logarithm(x);
  out[0] = y.hi, out[1] = y.lo;
}}
extern "C" int wide_power(double base, double over, double under, double* out) {{
  const Scaled y = exponential(quotient(over, under) * logarithm(base));
  out[0] = y.value.hi, out[1] = y.value.lo, out[2] = power(base, quotient(over, under));
  return y.exponent;
}}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    built = tmp_path_factory.mktemp("built") / "double_double.so"
    command = ["g++", *builder.FLAGS, *builder.QUIET, "-x", "c++", "-", "-o", str(built)]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    library = ctypes.CDLL(str(built))
    library.wide_logarithm.argtypes = (c_double, c_double * 2)
    library.wide_power.argtypes = (c_double, c_double, c_double, c_double * 3)
    library.wide_power.restype = c_int
    return library


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with mpmath.workdps(60):
        yield


def bases() -> list[float]:
    """Return positive doubles of every size, and some near powers of the root of two."""
    random = np.random.default_rng(5)
    plain = np.ldexp(random.uniform(1, 2, 2000), random.integers(-60, 80, 2000)).tolist()
    extreme = np.ldexp(random.uniform(1, 2, 200), random.integers(-1074, 1024, 200)).tolist()
    near = [2.0 ** (k / 2) * (1 + j * 2.0**-50) for k in range(-9, 9) for j in (-3, 0, 1)]
    return [*plain, *extreme, *near, 10_000.0, 500_000.0]


def test_logarithms_have_104_bits(library: Any) -> None:
    out = (c_double * 2)()
    for x in bases():
        library.wide_logarithm(x, out)
        truth = mpmath.log(x)
        assert abs(mpmath.mpf(out[0]) + out[1] - truth) <= abs(truth) * mpmath.mpf(2) ** -103.5, x
        assert out[0] == float(truth)


def test_powers_have_98_bits_and_round_to_nearest(library: Any) -> None:
    out, random = (c_double * 3)(), np.random.default_rng(6)
    for base in bases()[:2000] + bases()[2200:]:
        pairs = int(random.integers(1, 129))
        pair = int(random.integers(0, pairs))
        exponents = [(-pair, pairs)] + ([(pairs, pairs - 1)] if pairs > 8 else [])
        for over, under in exponents:
            exponent = library.wide_power(base, over, under, out)
            truth = mpmath.mpf(base) ** (mpmath.mpf(over) / under)
            value = (mpmath.mpf(out[0]) + out[1]) * mpmath.mpf(2) ** exponent
            assert abs(value - truth) <= truth * mpmath.mpf(2) ** -97.5, (base, over, under)
            assert out[2] == float(truth)
