"""The pages in a real browser: a searched line is shown, new lines arrive by themselves, hostile ones stay text."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from python_shipper.dashboard import create_app
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.dashboard.sample import HOSTILE, NOON, TRACE, document
from tests.dashboard.serving import served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=9000", "--dump-dom",
)  # fmt: skip


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], str]:
    """A function that gives the document at an address as it is after its scripts have run for nine seconds."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))

    def dom(address: str) -> str:
        command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return dom


@pytest.fixture
def address(filled: Path, now: None) -> Iterator[str]:
    with closing(TantivyStore.open(filled)) as store, served(create_app(Settings(), store, dict)) as found:
        yield found


def test_a_searched_line_is_shown(address: str, browse: Callable[[str], str]) -> None:
    page = browse(f"{address}/?q=level:error+service:orders")
    assert re.findall(r'<span class="message">([^<]*)', page) == ["order rejected"]


def test_a_trace_is_shown(address: str, browse: Callable[[str], str]) -> None:
    page = browse(f"{address}/trace/{TRACE}")
    assert re.findall(r'<span class="service depth-(\d)">([^<]*)</span>\s*<svg', page) == [
        ("0", "gateway"),
        ("1", "orders"),
        ("2", "analysis_engine"),
    ]


def test_a_hostile_line_stays_inert_while_our_own_script_runs(address: str, browse: Callable[[str], str]) -> None:
    page = browse(f"{address}/?q=level:warning")
    (shown,) = re.findall(r'<span class="message">(.*?)</span>', page, re.DOTALL)
    assert unescape(shown).strip() == HOSTILE.replace("\ue000", "").strip()
    assert "<title>level:warning · python-shipper</title>" in page
    assert re.search(r'<button class="live"[^>]* aria-pressed="true"', page)
    assert not re.search(r"<img|<svg onload|<i>key", page)


def test_a_hostile_question_stays_inert(address: str, browse: Callable[[str], str]) -> None:
    page = browse(f'{address}/?q=%22%3E%3Cscript%3Edocument.title="owned"%3C/script%3E')
    assert "owned</title>" not in page
    assert len(re.findall(r"<script", page)) == 2


def test_new_lines_arrive_by_themselves(tmp_path: Path, now: None, browse: Callable[[str], str]) -> None:
    folder = tmp_path / "data"
    with closing(Writer(folder)) as writer, closing(TantivyStore.open(folder)) as store:
        writer.add([document(NOON, "orders", "the first")])
        writer.commit()
        app = create_app(Settings(), store, dict)
        arriving = [document(NOON + 9, "orders", HOSTILE), document(NOON + 5, "orders", "a late one")]

        async def with_arrivals(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == "/results" and arriving:
                writer.add([arriving.pop()])
                writer.commit()
            await app(scope, receive, send)

        with served(with_arrivals) as found:
            page = browse(f"{found}/")
    told = [unescape(text).strip() for text in re.findall(r'<span class="message">(.*?)</span>', page, re.DOTALL)]
    assert told == [HOSTILE.replace("\ue000", "").strip(), "a late one", "the first"]
    assert "3 lines" in page
    assert "owned</title>" not in page
