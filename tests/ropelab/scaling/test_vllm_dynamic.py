"""vLLM's static reading of a dynamic rule."""

import pytest

from ropelab import Rope
from ropelab.scaling import DynamicNTK, VLLMDynamicNTK
from tests.ropelab.support import refuses


def test_without_a_trained_length_nothing_is_scaled() -> None:
    # base 1e4, d 128, s 2, at length 8192: Transformers' base is 30527.74, vLLM's 10000.
    rope = Rope(128, scaling=VLLMDynamicNTK(2.0), max_position_embeddings=4096)
    assert rope.spectrum(8192) == Rope(128).spectrum()
    theirs = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096).spectrum(8192)
    assert f"{theirs.inv_freq[1] ** -64:.2f}" == "30527.74"


def test_with_one_it_is_the_longest_context_at_every_length() -> None:
    rope = Rope(128, scaling=VLLMDynamicNTK(2.0, 4096), max_position_embeddings=8192)
    theirs = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096).spectrum(8192)
    for seq_len in (None, 1, 4096, 8192, 131072):
        assert rope.spectrum(seq_len) == theirs


@pytest.mark.parametrize(("maximum", "multiplier"), [(512, 1.0), (2048, 1.0), (4096, 3.0)])
def test_vllms_own_test(maximum: int, multiplier: float) -> None:
    # base 1000, d 64, factor 2, trained 2048: only above is the base times 3 ** (64 / 62).
    rope = Rope(64, base=1e3, scaling=VLLMDynamicNTK(2.0, 2048), max_position_embeddings=maximum)
    last = rope.spectrum().inv_freq[-1]
    assert last == pytest.approx(Rope(64, base=1e3).spectrum().inv_freq[-1] / multiplier, rel=1e-15)


@pytest.mark.parametrize(
    ("factor", "trained", "kind", "name", "came"),
    [
        (0.0, 4096, ValueError, "factor", "0.0"),
        ("2", 4096, TypeError, "factor", "'2'"),
        (2.0, 0, ValueError, "max_trained_positions", "0"),
        (2.0, 4096.0, TypeError, "max_trained_positions", "4096.0"),
    ],
)
def test_parameters_out_of_range_are_refused(
    factor: float, trained: int, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        rule = VLLMDynamicNTK(factor, trained)
        Rope(64, scaling=rule, max_position_embeddings=8192).spectrum()


def test_a_missing_maximum_is_named() -> None:
    with refuses(ValueError, "max_position_embeddings", "VLLMDynamicNTK", "None"):
        Rope(64, scaling=VLLMDynamicNTK(2.0, 4096)).spectrum()
