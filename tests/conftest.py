"""What a machine may lack, by name.

A test marked ``needs("docker")`` is skipped where Docker is missing. The skipped groups are listed with their reasons
at the end; under ``CI=true`` a skip fails the run unless its part is optional.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests.pipeline import real_logstash
from tests.stack import elasticsearch as engine
from tests.stack import obtain, official

ROOT = Path(__file__).parent.parent
# A deadline asserts a time, which a busy machine breaks. What the environment chose besides stays.
settings.register_profile("ours", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("ours")


@dataclass(frozen=True)
class Part:
    """Something a test needs: ``missing`` gives the reason why it cannot be had here, or None."""

    missing: Callable[[], str | None]
    optional: bool = False


def program(*names: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        return None if any(map(shutil.which, names)) else f"{' or '.join(names)} is not installed"

    return missing


def folder(path: Path) -> Callable[[], str | None]:
    return lambda: None if path.is_dir() else f"{path.name} is not beside the checkout"


def root_user() -> str | None:
    return None if os.geteuid() == 0 else "mounting small file systems needs root"


@functools.cache
def whole_elasticsearch() -> str | None:
    if os.environ.get("ELASTICSEARCH_URL"):
        return None
    try:
        official.require()
    except obtain.MissingError as missing:
        return f"ELASTICSEARCH_URL is not set; {missing}; the distribution that tests obtain keeps no users of its own"
    return None


PARTS = {
    "chromium": Part(program("chromium", "chromium-browser", "google-chrome")),
    "docker": Part(program("dockerd")),
    "go": Part(program("go")),
    "maven": Part(program("mvn")),
    "redis": Part(program("redis-server")),
    "ruby": Part(program("ruby")),
    "root": Part(root_user),
    "whole-elasticsearch": Part(whole_elasticsearch, optional=True),
    "logstash": Part(real_logstash.missing, optional=True),
    "reference-data": Part(folder(ROOT.parent / "shared" / "data"), optional=True),
}
skipped: dict[str, tuple[str, bool, int]] = {}


def part_names(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("needs") for name in mark.args]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unknown = {name for item in items for name in part_names(item)} - set(PARTS)
    if unknown:
        raise pytest.UsageError(f"needs(): unknown part {', '.join(sorted(unknown))}; name it in tests/conftest.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in part_names(item):
        if reason := PARTS[name].missing():
            pytest.skip(f"{name}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        group, _, _ = reason.partition(":")
        optional = group in PARTS and PARTS[group].optional
        skipped[group] = (reason, optional, skipped.get(group, ("", False, 0))[2] + 1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    required = [group for group, (_, optional, _) in skipped.items() if not optional]
    if os.environ.get("CI") == "true" and required and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not skipped:
        return
    terminalreporter.section("skipped groups")
    for group, (reason, optional, count) in sorted(skipped.items()):
        verdict = "optional" if optional else "REQUIRED under CI=true"
        terminalreporter.line(f"{group}: {count} test(s), {verdict}: {reason}")


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[engine.Server]:
    """A real Elasticsearch with our configuration, templates and roles, started once a session."""
    try:
        with engine.any_server() as server:
            yield server
    except obtain.MissingError as missing:
        pytest.skip(f"elasticsearch: {missing}")
