"""vLLM's fixed and mixed NTK scaling against mpmath, in the words of its code."""

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import VLLMNTK, NTKAware
from tests.ropelab.support import refuses


def test_every_frequency_shrinks_from_the_first_to_the_last() -> None:
    # s 4, d 128: the first frequency times 0.9786, the last divided by s; NTKAware keeps the first.
    ratio = Rope(128, scaling=VLLMNTK(4.0)).spectrum().inv_freq / Rope(128).spectrum().inv_freq
    assert f"{ratio[0]:.4f}" == "0.9786"
    assert ratio[-1] == pytest.approx(0.25, rel=4 * 2.0**-52)
    assert (np.diff(ratio) < 0).all()
    assert Rope(128, scaling=NTKAware(4.0)).spectrum().inv_freq[0] == 1.0


@pytest.mark.parametrize(("d", "base", "s"), [(128, 1e4, 4.0), (20, 5e5, 2.5), (2, 1e4, 3.0)])
def test_the_fixed_form_is_a_larger_base_and_a_division(d: int, base: float, s: float) -> None:
    with mpmath.workdps(60):
        larger = mpmath.mpf(base) * s
        truth = [
            float(larger ** (-mpmath.mpf(2 * i) / d) / mpmath.mpf(s) ** (mpmath.mpf(2) / d))
            for i in range(d // 2)
        ]
    ours = Rope(d, base=base, scaling=VLLMNTK(s)).spectrum().inv_freq
    np.testing.assert_array_max_ulp(ours, np.array(truth), maxulp=2)


@pytest.mark.parametrize(("d", "s", "beta"), [(128, 4.0, 0.625), (24, 2.5, 0.75), (12, 2.0, 1.5)])
def test_the_mixed_form_divides_by_an_exponential(d: int, s: float, beta: float) -> None:
    with mpmath.workdps(60):
        a = mpmath.log(s) / mpmath.mpf(d // 2) ** beta
        truth = [
            float(
                mpmath.mpf(10_000) ** (-mpmath.mpf(2 * i) / d)
                / mpmath.exp(a * mpmath.mpf(i + 1) ** beta)
            )
            for i in range(d // 2)
        ]
    ours = Rope(d, scaling=VLLMNTK(s, mixed_b=beta)).spectrum().inv_freq
    # 2 ulp as above; the exponent errs by (1 + beta) 2**-53 of itself, which enters times ln s.
    np.testing.assert_array_max_ulp(ours, np.array(truth), maxulp=5)


def test_an_exponent_of_one_is_the_fixed_form() -> None:
    rules = VLLMNTK(4.0), VLLMNTK(4.0, mixed_b=1.0)
    fixed, mixed = (Rope(64, scaling=rule).spectrum() for rule in rules)
    assert fixed == mixed


@pytest.mark.parametrize(
    ("factor", "beta", "kind", "name", "came"),
    [
        (0.0, None, ValueError, "factor", "0.0"),
        ("4", None, TypeError, "factor", "'4'"),
        (4.0, 0.0, ValueError, "mixed_b", "0.0"),
        (4.0, True, TypeError, "mixed_b", "True"),
    ],
)
def test_parameters_out_of_range_are_refused(
    factor: float, beta: float | None, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        VLLMNTK(factor, beta)
