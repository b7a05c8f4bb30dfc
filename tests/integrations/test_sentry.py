"""A local endpoint records the envelopes that Sentry's real SDK sends."""

import contextvars
import gzip
import json
import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
import sentry_sdk
from fastapi import FastAPI

from python_shipper.core import context
from python_shipper.errors import ConfigurationError
from python_shipper.integrations import fastapi, sentry
from python_shipper.settings import Settings

log = logging.getLogger("tests.sentry")
ACCOUNT = "110-234-567890"
# Away from the code that fails, for Sentry sends the lines of source around it.
SECRETS = {"Authorization": "Bearer abcdefghijklmnopqrstuvwxyz", "Cookie": "session=s3cr3t-session"}


@pytest.fixture
def dsn(recorder: Any) -> Iterator[str]:
    """A DSN that leads to the recorder; the SDK is off again afterwards."""
    yield recorder.url.replace("://", "://public@") + "/1"
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def events(recorder: Any) -> list[dict[str, Any]]:
    """The error events among the recorded envelopes."""
    sentry_sdk.flush()
    found = []
    for _, headers, body in recorder.seen:
        text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        lines = text.splitlines()
        found += [json.loads(item) for head, item in pairwise(lines) if b'"event"' in head]
    return found


def fail(account_number: str) -> None:
    raise ValueError(f"no such account {account_number}")


def test_without_a_dsn_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    assert sentry.install() is False
    assert not sentry_sdk.get_client().is_active()


def test_an_error_is_sent_once_masked_and_with_its_trace_id(dsn: str, recorder: Any) -> None:
    assert sentry.install(Settings(sentry_dsn=dsn, service_version="1.2.3")) is True
    sentry_sdk.set_user({"id": "user_01", "email": "kim@example.com"})
    with context.bound(trace_id="abc123"):
        try:
            fail(ACCOUNT)
        except ValueError:
            log.exception("refused account %s", ACCOUNT, extra={"account_number": ACCOUNT})
            log.exception("and once more, further up")
    (event,) = events(recorder)
    assert event["tags"]["trace_id"] == "abc123"
    assert event["release"] == "1.2.3" and event["environment"] == "production"
    assert event["exception"]["values"][0]["value"] == "no such account ***7890"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["vars"]["account_number"] == "***890'"
    assert event["user"]["id"] == "user_01" and "kim" not in json.dumps(event)
    assert ACCOUNT not in json.dumps(event) and "***7890" in json.dumps(event["logentry"])


@pytest.mark.parametrize("traces", [["first", "second"], [None, None]])
def test_the_same_exception_in_another_trace_or_without_one_is_sent_again(
    dsn: str, recorder: Any, traces: list[str | None]
) -> None:
    sentry.install(Settings(sentry_dsn=dsn))
    error = ValueError("one object for all, as some libraries have it")
    for trace_id in traces:
        with context.bound(trace_id=trace_id):
            # in a context of its own, as a request is: the SDK's own check would drop the second
            contextvars.copy_context().run(sentry_sdk.capture_exception, error)
    assert [event.get("tags", {}).get("trace_id") for event in events(recorder)] == traces


@pytest.mark.parametrize(
    "held",
    [
        ["b'cookie'", "b'session=s3cr3t-session'"],
        [["b'Set-Cookie'", "b'session=s3cr3t-session'"], ["b'accept'", "b'*/*'"]],
        "Headers({'accept': '*/*', 'cookie': 'session=s3cr3t-session'})",
        "[(b'cookie', b'session=s3cr3t-session'), (b'accept', b'*/*')]",
        "Cookie: session=s3cr3t-session; b=s3cr3t",
        {"headers": [["authorization", "s3cr3t-token"]]},
    ],
)
def test_cookies_and_credentials_in_the_frames_of_a_stack_trace_are_dropped(held: Any) -> None:
    frames = [{"vars": {"scope": held}}]
    event = sentry.before_send({"exception": {"values": [{"stacktrace": {"frames": frames}}]}}, {})  # type: ignore[typeddict-item]
    assert "s3cr3t" not in json.dumps(event) and "[dropped]" in json.dumps(event)


@pytest.mark.parametrize("pii", [True, False])
def test_an_unhandled_exception_of_a_request_is_one_event(
    dsn: str, recorder: Any, serve: Callable[[Any], str], pii: bool
) -> None:
    app = FastAPI()
    settings = Settings(sentry_dsn=dsn, sentry_send_default_pii=pii)
    fastapi.install(app, settings)

    @app.get("/pay")
    async def pay() -> None:
        fail(ACCOUNT)

    response = httpx.get(f"{serve(app)}/pay", headers={"X-Trace-ID": "abc123", **SECRETS})
    assert response.status_code == 500
    (event,) = events(recorder)
    assert event["tags"]["trace_id"] == "abc123"
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    assert event["request"]["url"].endswith("/pay")
    assert ("env" in event["request"]) is pii  # the client's address is what the setting adds
    text = json.dumps(event)
    assert ACCOUNT not in text and "s3cr3t" not in text and "abcdefghijklmnop" not in text


def test_a_bad_dsn_says_so() -> None:
    with pytest.raises(ConfigurationError, match="SENTRY_DSN: "):
        sentry.install(Settings(sentry_dsn="not a dsn"))


def test_an_application_that_started_sentry_itself_keeps_its_client(dsn: str) -> None:
    sentry_sdk.init(dsn=dsn)
    client = sentry_sdk.get_client()
    assert sentry.install(Settings(sentry_dsn=dsn)) is True
    assert sentry_sdk.get_client() is client
