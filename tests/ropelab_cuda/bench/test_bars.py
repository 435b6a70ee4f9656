"""Ratios between rows, and whether a run clears the bars."""

from __future__ import annotations

import pytest

from ropelab_cuda.bench.bars import Verdict, verdicts
from ropelab_cuda.bench.results import IN_PLACE, OURS
from ropelab_cuda.bench.timing import Timing
from ropelab_cuda.bench.workloads import BAR, DECODE, FEW_HEADS, PARTIAL, PREFILL, RESIDENT
from tests.ropelab_cuda.bench.measurements import measurement


def test_ratios_say_how_many_times_faster() -> None:
    measured = measurement(copy=90.0, ours=100.0, compiled=150.0, liger=120.0)
    ours, in_place = measured.results[2:4]
    assert measured.of_copy(ours) == pytest.approx(0.9)
    assert measured.of_best_peer(ours) == pytest.approx(1.2)
    assert measured.of_best_peer(in_place) == pytest.approx(1.5)  # Liger's is of another direction
    assert measured.bandwidth(ours) == pytest.approx(6.7108864)
    peer = measured.best_peer(ours)
    assert peer is not None
    assert peer.name == "Liger, in place"


def test_where_fewer_bytes_move_in_place_peers_are_compared_with_like() -> None:
    measured = measurement(PARTIAL[0], ours=100.0, in_place_half=60.0, compiled=150.0, liger=70.0)
    by_name = {row.name: row for row in measured.results if row.layout == "half"}
    assert measured.of_best_peer(by_name[OURS]) == pytest.approx(1.5)
    found = of_bar("1 prefill", verdicts([measured], asked=PARTIAL[:1]))
    assert [(verdict.holds, verdict.unit) for verdict in found] == [(True, "× the best peer")]
    slow = measurement(PARTIAL[0], ours=151.0, compiled=150.0, liger=160.0)
    assert not of_bar("1 prefill", verdicts([slow], asked=PARTIAL[:1]))[0].holds
    wrong = measurement(PARTIAL[0], ours=None)
    assert not of_bar("1 prefill", verdicts([wrong], asked=PARTIAL[:1]))[0].holds


def test_the_faster_copy_is_the_yardstick() -> None:
    assert measurement(driver=80.0, copy=90.0).copy == Timing(80.0, 79.0, 81.0)
    assert measurement(driver=None, copy=90.0).copy == Timing(90.0, 89.0, 91.0)
    assert measurement(driver=None, copy=None).copy is None


def of_bar(bar: str, found: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in found if verdict.bar == bar]


@pytest.mark.parametrize(
    ("times", "of_peer", "of_copy"),
    [
        pytest.param({"driver": 98.0}, True, True, id="as fast as all peers"),
        pytest.param({"driver": 98.0, "compiled": 99.9}, False, True, id="a little slower"),
        pytest.param({"driver": 98.0, "compiled": 98.0}, False, True, id="slower than a peer"),
        pytest.param({"driver": 98.0, "liger": 98.0}, False, True, id="slower than Liger"),
        pytest.param({"driver": 98.0, "in_place_half": 102.0}, False, False, id="one way of four"),
        pytest.param({"copy": 96.0}, True, False, id="far from a copy"),
        pytest.param({"ours": None}, False, False, id="wrong"),
        pytest.param({"driver": 98.0, "compiled": None}, False, True, id="no peer"),
    ],
)
def test_bars_of_prefill(times: dict[str, float], of_peer: bool, of_copy: bool) -> None:
    peer, copy = of_bar("1 prefill", verdicts([measurement(**times)]))[:2]
    assert (peer.holds, copy.holds) == (of_peer, of_copy)
    assert peer.subject.startswith(str(BAR))
    assert copy.bound == 0.97


def test_each_shape_has_its_bar() -> None:
    found = verdicts(
        [
            measurement(FEW_HEADS, driver=95.9),
            measurement(RESIDENT[0], driver=98.1),
            measurement(RESIDENT[1], driver=94.9),
            measurement(DECODE[0], ours=2.6, in_place=2.71),
            measurement(DECODE[1], ours=1.3, in_place=1.4),
        ],
        {IN_PLACE: 1.29, OURS: 2.01},
    )
    assert [v.holds for v in of_bar("2 few heads", found)] == [False]
    assert [v.holds for v in of_bar("3 cache-resident", found)] == [True, False]
    assert [v.holds for v in of_bar("3 decode", found)] == [False, True, False]
    assert [v.value for v in of_bar("3 decode", found)] == [2.71, 1.4, None]
    assert [v.holds for v in of_bar("4 host", found)] == [True, False]
    assert {v.subject for v in verdicts([], {}, [DECODE[0]]) if v.bar != "4 host"} == {
        str(DECODE[0])
    }
    large = [v for v in of_bar("1 prefill", found) if v.unit == "of the copy"]
    assert len(large) == sum(w.moved_bytes >= 300e6 for w in PREFILL)
    of_peers = len(PREFILL) + 1 + len(PARTIAL)
    assert len(found) == of_peers + len(large) + 1 + 2 + 3 + 2
