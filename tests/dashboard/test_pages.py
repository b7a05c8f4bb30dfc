"""The pages work without JavaScript, say what to do where there is nothing, and escape what logs say."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from python_shipper.dashboard.rendering import MARK, UNMARK, marked
from tests.dashboard.sample import HOSTILE, TRACE


def rows(page: str) -> list[str]:
    """The messages of a page's lines."""
    found = re.findall(r'<span class="message">(.*?)</span>', page, re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", text)).strip() for text in found]


def test_the_newest_lines_come_first_with_links_to_older_ones(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert rows(page.text)[:2] == ["tick 149 of a calm day", "tick 148 of a calm day"]
    assert len(rows(page.text)) == 100
    assert "156 lines" in page.text
    (older,) = re.findall(r'href="([^"]*before=[^"]*)">Older', page.text)
    second = rows(client.get(unescape(older)).text)
    assert second[0] == "tick 49 of a calm day"
    assert second[-1] == "order accepted"
    assert len(second) == 56


def test_a_search_keeps_its_question(client: TestClient) -> None:
    page = client.get("/", params={"q": "level:error rejected", "since": "15m"}).text
    assert rows(page) == ["order rejected"]
    assert "order <mark>rejected</mark>" in page
    assert 'value="level:error rejected"' in page
    assert '<option value="15m" selected>' in page


def test_filters_by_service_and_level_offer_their_counts(client: TestClient) -> None:
    page = client.get("/", params={"service": "orders", "level": "error"}).text
    assert rows(page) == ["order rejected"]
    assert '<option value="orders" selected>orders (153)</option>' in page
    assert '<option value="gateway">gateway (2)</option>' in page
    assert re.search(r'<a class="error" href="[^"]*" aria-current="true">error <b>3</b></a>', page)
    assert re.search(r'<a class="info" href="/\?since=1h&amp;service=orders&amp;level=info">info', page)


def test_the_picture_over_time_adds_up_and_leads_closer(client: TestClient) -> None:
    page = client.get("/").text
    titles = re.findall(r"<title>([^<]*): ([0-9,]+) lines(?:, ([0-9]+) errors)?</title>", page)
    assert sum(int(total) for _, total, _ in titles) == 156
    assert sum(int(errors or 0) for *_, errors in titles) == 3
    closer = unescape(re.findall(r'<a href="([^"]*)" tabindex="-1">', page)[0])
    asked = parse_qs(urlsplit(closer).query)
    assert asked == {"since": ["2026-11-22T12:00:00.000Z"], "until": ["2026-11-22T12:01:00.000Z"]}
    assert "156 lines" in client.get(closer).text


def test_what_logs_say_is_escaped_wherever_it_is_shown(client: TestClient) -> None:
    pages = [
        client.get("/").text,
        client.get("/", params={"q": "level:warning"}).text,
        client.get(f"/trace/{TRACE}").text,
    ]
    pages.append(client.get("/", params={"q": '<svg onload=1> "'}).text)
    for page in pages:
        assert "<script>document" not in page
        assert "<svg onload" not in page
        assert "<b>macd" not in page
        assert "<i>key" not in page
        assert not re.search(r'\s(?:style|on[a-z]+)="', page)
    assert rows(pages[1]) == [HOSTILE.replace("\ue000", "").strip()]
    assert "&lt;b&gt;macd&lt;/b&gt;" in pages[2]


def test_a_trace_shows_bars_by_caller_lines_in_order_and_the_error_open(client: TestClient) -> None:
    page = client.get(f"/trace/{TRACE}").text
    bars = re.findall(r'<span class="service depth-(\d)">([^<]*)</span>\s*<svg', page)
    assert bars == [("0", "gateway"), ("1", "orders"), ("2", "analysis_engine")]
    told = ["order accepted", "order received", "MACD computation failed ValueError: too few prices"]
    assert [re.sub(r"\s+", " ", text) for text in rows(page)] == [*told, "order rejected", "order failed"]
    (opened,) = re.findall(r'<details class="line [^>]* open>.*?</summary>', page, re.DOTALL)
    assert "MACD computation failed" in opened


def test_an_unknown_trace_says_what_to_do(client: TestClient) -> None:
    page = client.get("/trace/unknown%2F%3Cb%3E")
    assert page.status_code == 404
    assert "No line has this trace id" in page.text
    assert "<b>" not in page.text.replace("<b>0</b>", "")


def test_the_trace_box_leads_to_the_trace(client: TestClient) -> None:
    assert client.get("/trace", params={"id": " a/b "}).headers["location"] == "/trace/a%2Fb"
    assert client.get("/trace", params={"id": ""}).headers["location"] == "/"


def test_an_empty_store_says_how_to_fill_it(empty: TestClient) -> None:
    page = empty.get("/").text
    assert "No log lines here yet" in page
    assert "python_shipper.configure" in page
    assert empty.get("/status").status_code == 200
    nothing = empty.get("/", params={"q": "boom"}).text
    assert "No line matches" in nothing
    assert "Search the last 30 days" in nothing


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"q": "level:("}, "level"),
        ({"since": "yesterday"}, "expected a span such as 15m"),
        ({"until": "never"}, "until: expected"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "is not after"),
        ({"before": "not an id"}, ""),
    ],
)
def test_a_wrong_question_is_said_on_the_page(client: TestClient, params: dict[str, str], words: str) -> None:
    page = client.get("/", params=params)
    assert page.status_code in (200, 400)
    if words:
        assert page.status_code == 400
        (said,) = re.findall(r'<p class="problem" role="alert">(.*?)</p>', page.text, re.DOTALL)
        assert words in unescape(said)
        assert 'aria-invalid="true"' in page.text


def test_an_unknown_page_is_a_page(client: TestClient) -> None:
    page = client.get("/nothing")
    assert page.status_code == 404
    assert "What to do:" in page.text


def test_static_files_have_addresses_that_change_with_them(client: TestClient) -> None:
    page = client.get("/").text
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert re.search(r"\?[0-9a-f]{8}$", address)
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (f"a {MARK}<b>{UNMARK} c", "a <mark>&lt;b&gt;</mark> c"),
        (f"{MARK}<b> c", "&lt;b&gt; c"),
        (f"{UNMARK}x{MARK}", "x"),
        ("plain", "plain"),
    ],
)
def test_marks_never_unbalance_a_page(text: str, html: str) -> None:
    assert str(marked(text)) == html
