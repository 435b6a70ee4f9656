"""What is said of a rope, a line at a time."""

from ropelab import Rope
from ropelab.cli.description import describe, lengths_told
from ropelab.scaling import LongRoPE

LISTS = LongRoPE([1.0, 1.0], [1.0, 2.5], 4096, short_mscale=1.0, long_mscale=1.5)
BOTH = Rope(4, scaling=LISTS, max_position_embeddings=131_072)


def test_descriptions() -> None:
    rope = Rope(64, rotary_dim=16, layout="interleaved", output_layout="half", rotary_offset=48)
    _, channels, rule = describe(rope)
    assert channels == (
        "base 10,000; 16 of 64 channels of a head turn from channel 48, pair i being channels "
        "2i and 2i + 1, put out as half"
    )
    assert rule == "rule default"


def test_what_depends_on_the_length_is_said_of_each() -> None:
    lines = list(describe(BOTH, reach=131_072))
    assert lines[0].startswith("in 4,096 tokens: 2 pairs, none of them scaled; longest wavelength")
    assert lines[1].startswith("in 131,072 tokens: 1 pair untouched, 1 stretched 2.5×; longest")
    # An amplitude of 1 is not worth a line.
    assert lines[-3] == "in 131,072 tokens: cos and sin are multiplied by 1.5, scores by 2.25"
    assert lines[-2] == "2 of 2 pairs turn all the way round in 4,096 tokens"
    assert lines[-1] == "2 of 2 pairs turn all the way round in its 131,072 tokens"


def test_one_list_has_one_description() -> None:
    once = LongRoPE([1.0, 2.0], [1.0, 2.0], 4096, attention_factor=1.5)
    rope = Rope(4, scaling=once, max_position_embeddings=131_072)
    assert lengths_told(rope) == (None,)
    lines = list(describe(rope))
    assert lines[-1] == "cos and sin are multiplied by 1.5, scores by 2.25"
    assert sum("stretched" in line for line in lines) == 1


def test_the_length_asked_for_is_the_one_told() -> None:
    assert lengths_told(BOTH, 5000) == (5000,)
    assert lengths_told(BOTH) == (4096, 131_072)
    assert lengths_told(Rope(4)) == (None,)
