"""Log records as Slack messages: a colour by level, where it happened, and the way to the whole trace."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from python_shipper.ads.courier import Courier, CourierHandler
from python_shipper.alerts import http
from python_shipper.alerts.answer import Answer
from python_shipper.alerts.notice import trace_link
from python_shipper.alerts.schema import url
from python_shipper.alerts.slack import COLOURS, escaped, fact, link
from python_shipper.core import Event
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

REPEAT_SECONDS = 300.0
MOST_KINDS = 1_000  # kinds of messages that are remembered
STACK_CHARACTERS = 1_500
Attachment = dict[str, Any]
Kind = tuple[str, int, str, str]


class SlackHandler(CourierHandler):
    """Posts records to a Slack webhook; the logging call neither waits for it nor fails with it.

    The same message (logger, level, text before its arguments or the error tracker's fingerprint, type of exception) is
    posted once in ``repeat_seconds``; the next one says how many there were meanwhile. A full queue drops, and the next
    post says so.
    """

    def __init__(
        self,
        webhook_url: str,
        level: int | str = logging.ERROR,
        *,
        repeat_seconds: float = REPEAT_SECONDS,
        timeout: float = 10.0,
        ca: str | Path | None = None,
    ) -> None:
        """Prepare; nothing is sent before the first record.

        Args:
            webhook_url: Slack's incoming webhook, https; http only on this machine.
            level: the lowest level that is posted.
            repeat_seconds: how long the same message is held back after it was posted; 0: never.
            timeout: seconds for each step of a post.
            ca: PEM file of the authorities to trust; without it the system's.

        Raises:
            ConfigurationError: the address is none.
        """
        super().__init__(level)
        try:
            self._url = url(webhook_url)
        except ValueError:
            expected = "an https address (http only on this machine) without user and password"
            raise ConfigurationError(f"webhook_url: expected {expected}; correct it") from None
        self._timeout, self._ca = timeout, Path(ca) if ca else None
        self._repeats = Repeats(repeat_seconds)
        self._settings = Settings.from_environment()
        self.courier: Courier[Attachment] = Courier("slack", self._post)
        self._told_dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record as an attachment; never raises."""
        try:
            before = self._repeats.held_before(kind_of(record))
            if before is None:
                return
            self.courier.put(attachment(self.event(record), record.levelname, self._settings, before))
        except Exception:
            self.handleError(record)

    def _post(self, attachments: list[Attachment]) -> Answer:
        """One message with several attachments."""
        first = attachments[0]
        more = f" (and {len(attachments) - 1} more)" if len(attachments) > 1 else ""
        text = f"{first['title']}: {first['text'].splitlines()[0] if first['text'] else ''}{more}"
        dropped = self.courier.dropped
        if missing := dropped - self._told_dropped:
            text += f" — {missing:,} more were dropped: the queue was full"
        answer = http.post(
            self._url, {"text": text, "attachments": attachments}, headers={}, timeout=self._timeout, ca=self._ca
        )
        if answer.taken:
            self._told_dropped = dropped
        return answer

    def flush(self) -> None:
        """Nothing waits here: the thread sends at once. :meth:`close` and the end of the process wait a little."""


class Repeats:
    """Which messages were posted lately, and how often they came again since."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.lock = threading.RLock()
        self.known: OrderedDict[Kind, tuple[float, int]] = OrderedDict()

    def held_before(self, kind: Kind) -> int | None:
        """None to hold this one back; else how many were held back since the last that was not."""
        now = time.monotonic()
        with self.lock:
            posted, held = self.known.get(kind, (float("-inf"), 0))
            if now - posted < self.seconds:
                self.known[kind] = posted, held + 1
                return None
            self.known[kind] = now, 0
            self.known.move_to_end(kind)
            if len(self.known) > MOST_KINDS:
                self.known.popitem(last=False)
            return held


def kind_of(record: logging.LogRecord) -> Kind:
    """What makes two records the same message: the error tracker's group, else the text before its arguments."""
    group = record.__dict__.get("error_fingerprint") or record.msg
    error = record.exc_info[0] if isinstance(record.exc_info, tuple) and record.exc_info[0] else None
    return record.name, record.levelno, str(group)[:500], error.__name__ if error else ""


def attachment(event: Event, level: str, settings: Settings, before: int) -> Attachment:
    """A masked event as an attachment: error, location, function, time, trace id."""
    error, origin = event.get("error", {}), event["log"].get("origin", {})
    trace = event.get("trace", {}).get("id", "")
    file = origin.get("file", {})
    shown = [
        ("Error", escaped(f"{error['type']}: {error.get('message', '')}") if error.get("type") else ""),
        ("Location", escaped(f"{file.get('name', '')}:{file.get('line', '')}")),
        ("Function", escaped(str(origin.get("function", "")))),
        ("Time", escaped(event["@timestamp"])),
        ("Service", escaped(event["service"]["name"])),
        ("Trace id", link(trace_link(settings, trace), trace) if trace else ""),
        ("Repeated", f"{before:,} times since the last message" if before else ""),
    ]
    stack = error.get("stack_trace", "")
    return {
        "color": COLOURS.get(level.lower(), COLOURS["error"]),
        "title": escaped(f"[{level}] {event['log']['logger']}"),
        "text": escaped(event["message"]) + (f"\n```{escaped(stack[-STACK_CHARACTERS:])}```" if stack else ""),
        "fields": [fact(name, value) for name, value in shown if value],
        "mrkdwn_in": ["text"] if stack else [],
    }
