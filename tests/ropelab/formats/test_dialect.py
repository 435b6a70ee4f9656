"""What the readers of dialects share."""

import math

import pytest

from ropelab.formats.dialect import layer_count, rule_from, section_axes, share_of, yarn_amplitude
from ropelab.formats.findings import Findings
from ropelab.scaling import Linear


def test_a_rule_takes_its_keys_and_tells_of_the_others() -> None:
    findings = Findings()
    given = {"factor": 8.0, "type": "linear", "beta_fast": 32.0}
    assert rule_from(Linear, given, "rope_scaling", findings, ("type",)) == Linear(8.0)
    assert [finding.key for finding in findings] == ["beta_fast"]
    with pytest.raises(ValueError, match="rope_scaling: linear needs factor"):
        rule_from(Linear, {}, "rope_scaling")


@pytest.mark.parametrize(("share", "turned"), [(1, 96), (0.25, 24), (0.34, 32), (1 / 3, 32)])
def test_a_share_is_truncated(share: float, turned: int) -> None:
    assert share_of(96, share, "rotary_pct") == turned


@pytest.mark.parametrize("share", [0.0, -0.5, 0.01, 0.35, 1.5, 1e308, math.nan])
def test_bad_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="rotary_pct"):
        share_of(96, share, "rotary_pct")


def test_layers_are_counted_before_they_are_listed() -> None:
    assert layer_count(126, "num_layers") == 126
    with pytest.raises(ValueError, match="num_layers: expected at most"):
        layer_count(2**62, "num_layers")


def test_sections() -> None:
    assert section_axes([1, 2, 3], 6, "s") == (0, 1, 1, 2, 2, 2)
    # Qwen3.5, sections 11, 11, 10 of 32 pairs: t, h, w in turn, the tail by t.
    woven = section_axes([11, 11, 10], 32, "s", order="interleaved")
    assert woven == (*(0, 1, 2) * 10, 0, 1)


@pytest.mark.parametrize(
    ("error", "sections"),
    [
        (TypeError, 6),
        (TypeError, [1.5, 4.5]),
        (ValueError, [3, 2]),
        (ValueError, [7, -1]),
        (ValueError, []),
    ],
)
def test_bad_sections_are_refused(error: type[Exception], sections: object) -> None:
    with pytest.raises(error, match="mrope_section"):
        section_axes(sections, 6, "mrope_section")
    with pytest.raises(ValueError, match=r"^mrope_section: expected three"):
        section_axes([3, 3], 6, "mrope_section", order="interleaved")


@pytest.mark.parametrize(
    ("mscale", "all_dim", "fields"),
    [
        (None, None, {}),
        (1.0, None, {}),
        (1.0, 0.0, {}),
        (0.707, 0.707, {"mscale": 0.707, "mscale_all_dim": 0.707}),
        (0.0, 0.0, {"attention_factor": 1.0}),
        (0.0, 1.0, {"attention_factor": 1 / 1.3688879454113936}),  # g(40, 1)
        (0.707, 0.0, {"attention_factor": 1.2608037774058554}),  # g(40, 0.707)
    ],
)
def test_the_amplitude_of_zeros(
    mscale: float | None, all_dim: float | None, fields: dict[str, float]
) -> None:
    assert yarn_amplitude(40.0, mscale, all_dim) == pytest.approx(fields, rel=1e-14)


def test_no_stretch_has_no_amplitude() -> None:
    assert yarn_amplitude(0.5, 0.707, 0.0) == {"attention_factor": 1.0}
