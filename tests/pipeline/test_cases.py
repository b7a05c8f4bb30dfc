"""Every golden case on every engine: what one stack stores and the other does not is a bug in one of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pipeline import engines
from tests.pipeline.case import Case, cases, differences

CASES = cases()


@pytest.fixture(scope="module")
def answers() -> Callable[[str], dict[str, engines.Answer]]:
    """An engine's answers by the case's name, asked once, even where it fails."""
    known: dict[str, dict[str, engines.Answer] | Exception] = {}

    def ask(engine: str) -> dict[str, engines.Answer]:
        if engine not in known:
            try:
                given = getattr(engines, engine)(CASES)
                known[engine] = {case.name: answer for case, answer in zip(CASES, given, strict=True)}
            except Exception as error:
                known[engine] = error
        found = known[engine]
        if isinstance(found, Exception):
            raise found
        return found

    return ask


ENGINES = [
    pytest.param("python"),
    pytest.param("ruby", marks=pytest.mark.needs("ruby")),
    pytest.param("jruby", marks=[pytest.mark.slow, pytest.mark.needs("maven")]),
    pytest.param("logstash", marks=[pytest.mark.slow, pytest.mark.needs("logstash")]),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, engine: str, answers: Callable[[str], dict[str, engines.Answer]]) -> None:
    wrong = differences(case.expect, answers(engine)[case.name])
    assert not wrong, f"{case.path.name} on {engine}:\n" + "\n".join(wrong)


def test_case_names_are_file_names() -> None:
    assert [case.name for case in CASES] == [case.path.stem for case in CASES]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
