"""ExLlamaV2's face: each method's numbers against formulas written out, and published ones."""

import inspect
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ropelab_cuda.compat import exllamav2
from ropelab_cuda.compat.exllamav2 import get_rope_params
from tests.compat.truth import geometric

CPU = torch.device("cpu")
# float32 of a number that float64 has within a few of its own eps.
ROUNDED: dict[str, Any] = {"rtol": 2.0**-24 + 1e-14, "atol": 0.0}


def config(method: str | None, *, half: bool = False, **given: Any) -> SimpleNamespace:
    """Return what ExLlamaV2Config has after it was loaded, of a head of 128 channels."""
    values: dict[str, Any] = {
        "head_dim": 128,
        "partial_rotary_factor": 1.0,
        "scale_alpha_value": 1.0,
        "max_seq_len": 2048,
        "alt_rope_method": method,
        "original_max_seq_len": 4096,
        "scale_short_factor": [1.0 + i / 64 for i in range(64)],
        "scale_long_factor": [1.0 + i for i in range(64)],
        "l3_rope_factor": 8.0,
        "l3_rope_low_freq_factor": 1.0,
        "l3_rope_high_freq_factor": 4.0,
        "l3_rope_original_max_position_embeddings": 8192,
        "yarn_rope_factor": 4.0,
        "yarn_rope_original_max_position_embeddings": 32768,
        "arch": SimpleNamespace(lm=SimpleNamespace(rope_freq_half=half)),
    }
    return SimpleNamespace(**(values | given))


def llama3(inv_freq: torch.Tensor) -> torch.Tensor:
    """Blend as Llama 3.1 does, one frequency at a time."""
    blended = []
    for speed in inv_freq.tolist():
        rotations = 8192 * speed / (2 * math.pi)
        kept = min(max((rotations - 1.0) / 3.0, 0.0), 1.0)
        blended.append(speed * (kept + (1.0 - kept) / 8.0))
    return torch.tensor(blended, dtype=torch.float64)


def yarn(inv_freq: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Divide by 4 what lies past the ramp from pair `low` to pair `high`."""
    ramp = ((torch.arange(64, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return inv_freq * (1 - ramp) + inv_freq / 4.0 * ramp


def test_names_and_parameters_are_the_originals() -> None:
    names = ("", "_default", "_llama3", "_su", "_yarn")
    assert sorted(exllamav2.__all__) == [f"get_rope_params{name}" for name in names]
    for name in exllamav2.__all__:
        assert list(inspect.signature(getattr(exllamav2, name)).parameters) == [
            *("device", "cfg", "base")
        ]


@pytest.mark.parametrize("method", [None, "mrope"])
def test_the_default(method: str | None) -> None:
    inv_freq, factor = get_rope_params(CPU, config(method), 5e5)
    assert (inv_freq.dtype, inv_freq.shape, factor) == (torch.float32, (64,), 1.0)
    torch.testing.assert_close(inv_freq.double(), geometric(128, 5e5), **ROUNDED)


def test_alpha_stretches_over_what_is_rotated_or_over_the_head() -> None:
    partial: dict[str, Any] = {"partial_rotary_factor": 0.5, "scale_alpha_value": 4.0}
    plain, _ = get_rope_params(CPU, config(None, **partial), 1e4)
    torch.testing.assert_close(plain.double(), geometric(64, 1e4 * 4 ** (64 / 62)), **ROUNDED)
    lists: dict[str, Any] = {
        name: [1.0] * 32 for name in ("scale_short_factor", "scale_long_factor")
    }
    for method in ("llama3", "su", "yarn"):
        cfg = config(method, **partial, **lists)
        first, *_, last = get_rope_params(CPU, cfg, 1e4)[0].double().tolist()
        whole = geometric(64, 1e4 * 4 ** (128 / 126))[-1].item()
        divisor = 8.0 if method == "llama3" else 1.0  # the slowest pair of Llama 3 is stretched
        assert first == 1.0
        assert last == pytest.approx(whole / divisor, rel=1e-7)


@pytest.mark.parametrize("alpha", [1.0, 0.0, None])
def test_no_alpha(alpha: float | None) -> None:
    inv_freq, _ = get_rope_params(CPU, config(None, scale_alpha_value=alpha), 1e4)
    torch.testing.assert_close(inv_freq.double(), geometric(128, 1e4), **ROUNDED)


@pytest.mark.parametrize(
    ("length", "name", "factor"),
    [
        (4096, "scale_short_factor", 1.0),
        (4097, "scale_long_factor", math.sqrt(1 + math.log(4097 / 4096) / math.log(4096))),
        (131072, "scale_long_factor", 1.1902380714238083),  # published with Phi-3.5
    ],
)
def test_su_chooses_its_list_by_the_length_that_is_loaded(
    length: int, name: str, factor: float
) -> None:
    cfg = config("su", max_seq_len=length)
    inv_freq, found = get_rope_params(CPU, cfg, 1e4)
    divisors = torch.tensor(getattr(cfg, name), dtype=torch.float64)
    torch.testing.assert_close(inv_freq.double(), geometric(128, 1e4) / divisors, **ROUNDED)
    assert found == pytest.approx(factor, rel=1e-14)


def test_llama3() -> None:
    inv_freq, factor = get_rope_params(CPU, config("llama3"), 5e5)
    torch.testing.assert_close(inv_freq.double(), llama3(geometric(128, 5e5)), **ROUNDED)
    ratio = inv_freq.double() / geometric(128, 5e5)
    bands = [int((abs(ratio - x) < 1e-6).sum()) for x in (1.0, 1 / 8)]
    assert (bands, factor) == ([29, 29], 1.0)


def test_yarn_lays_its_ramp_out_for_the_length_that_is_loaded() -> None:
    cfg = config("yarn", max_seq_len=131072)
    inv_freq, factor = get_rope_params(CPU, cfg, 1e6)
    # Corrections of 32 rotations and of one in 131072 tokens: pairs 30.0.. and 46.1..
    ends = [64 * math.log(131072 / (2 * math.pi * r)) / math.log(1e6) for r in (32, 1)]
    truth = yarn(geometric(128, 1e6), math.floor(ends[0]), math.ceil(ends[1]))
    torch.testing.assert_close(inv_freq.double(), truth, **ROUNDED)
    assert (math.floor(ends[0]), math.ceil(ends[1])) == (30, 47)
    assert factor == pytest.approx(1.138629436111989, rel=1e-15)  # 0.1 ln 4 + 1


def test_yarn_does_nothing_up_to_the_original_length() -> None:
    inv_freq, factor = get_rope_params(CPU, config("yarn", max_seq_len=32768), 1e6)
    torch.testing.assert_close(inv_freq.double(), geometric(128, 1e6), **ROUNDED)
    assert factor == 1.0


@pytest.mark.parametrize("method", [None, "llama3", "su", "yarn"])
def test_half_frequencies_are_the_others_rounded(method: str | None) -> None:
    full, _ = get_rope_params(CPU, config(method), 1e6)
    half, _ = get_rope_params(CPU, config(method, half=True), 1e6)
    assert half.dtype == torch.float16
    # Half an eps of float16, or half of its smallest number below 2**-14.
    bound = torch.maximum(full.double() * 2.0**-11, torch.tensor(2.0**-25))
    errors = (half.double() - full.double()).abs()
    assert (errors <= bound).all()
    assert errors.max() > 0.0


@pytest.mark.parametrize(
    ("error", "name", "method", "given"),
    [
        (ValueError, "partial_rotary_factor", None, {"partial_rotary_factor": 0.01}),
        (ValueError, "scale_alpha_value", None, {"scale_alpha_value": -2.0}),
        (ValueError, "short_factor", "su", {"scale_short_factor": [1.0] * 63}),
        (TypeError, "factor", "yarn", {"yarn_rope_factor": None}),
        (ValueError, "high_freq_factor", "llama3", {"l3_rope_high_freq_factor": 0.5}),
        (TypeError, "head_dim", None, {"head_dim": 128.0}),
    ],
)
def test_bad_configs_are_refused(
    error: type[Exception], name: str, method: str | None, given: dict[str, Any]
) -> None:
    with pytest.raises(error, match=f"^{name}: "):
        get_rope_params(CPU, config(method, **given), 1e4)


def test_a_method_without_its_attributes_says_which() -> None:
    cfg = config("yarn")
    del cfg.yarn_rope_factor
    with pytest.raises(AttributeError, match="yarn_rope_factor"):
        get_rope_params(CPU, cfg, 1e4)
