"""One notification, one attempt: what each type of route sends, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from python_shipper.alerts import http, slack, smtp
from python_shipper.alerts.answer import Answer
from python_shipper.alerts.notice import Notification, text
from python_shipper.alerts.rules import Route

KEY_HEADER = "Idempotency-Key"


def send(route: Route, notification: Notification) -> Answer:
    """Send ``notification`` by ``route`` once; every failure is an answer too."""
    return SENDERS[route.type](dict(route.options), notification)


def to_slack(options: dict[str, Any], notification: Notification) -> Answer:
    """Slack's incoming webhook."""
    return http.post(
        options["url"],
        slack.payload(notification),
        headers={KEY_HEADER: notification.id},
        timeout=options["timeout"],
        ca=options["ca"],
    )


def to_webhook(options: dict[str, Any], notification: Notification) -> Answer:
    """Any receiver of JSON."""
    return http.post(
        options["url"],
        as_json(notification),
        headers={**options["headers"], KEY_HEADER: notification.id},
        timeout=options["timeout"],
        ca=options["ca"],
    )


def to_email(options: dict[str, Any], notification: Notification) -> Answer:
    """A mail server."""
    box = smtp.Mailbox(sender=options.pop("from"), **options)
    return smtp.send(box, smtp.message(box, notification.id, notification.title, text(notification)))


def as_json(notification: Notification) -> dict[str, Any]:
    """What a generic webhook gets."""
    return {
        "id": notification.id,
        "rule": notification.rule,
        "status": "resolved" if notification.resolved else "open",
        "severity": notification.severity,
        "title": notification.title,
        "alerts": [
            {**item, "traces": [{"id": trace, "url": notification.traces.get(trace)} for trace in item["traces"]]}
            for item in notification.items
        ],
        "more": notification.more,
    }


SENDERS: Mapping[str, Callable[[dict[str, Any], Notification], Answer]] = {
    "slack": to_slack,
    "webhook": to_webhook,
    "email": to_email,
}
