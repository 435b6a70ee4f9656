"""Findings are values, told in the order in which they were made, each once."""

import time

import pytest

from ropelab.formats.findings import Finding, Findings, Reading, warn_of


def test_a_finding_reads_as_its_message() -> None:
    finding = Finding("factor", "factor: below 1")
    assert str(finding) == "factor: below 1"
    assert finding == Finding("factor", "factor: below 1")
    assert {finding, Finding("factor", "factor: below 1")} == {finding}


def test_findings_keep_their_order_and_are_told_once() -> None:
    findings = Findings()
    for key in ("b", "a", "b"):
        findings.add(key, f"{key} is not read")
    assert [finding.key for finding in findings] == ["b", "a"]
    assert Reading(None, tuple(findings)).findings[1].message == "a is not read"


def test_many_findings_take_no_time() -> None:
    findings = Findings()
    begun = time.process_time()
    for n in range(50_000):
        findings.add(str(n), "is not read")
    assert time.process_time() - begun < 2.0  # each beside all others would take a minute
    assert len(findings) == 50_000


def test_each_finding_is_a_warning_at_the_line_of_the_callers_caller() -> None:
    def reader() -> None:
        warn_of([Finding("a", "first"), Finding("b", "second")])

    with pytest.warns(UserWarning, match="first|second") as caught:
        reader()
    assert [str(warning.message) for warning in caught] == ["first", "second"]
    assert {warning.filename for warning in caught} == {__file__}
