"""What Slack's incoming webhooks take: a text, and attachments with a colour and fields."""

from __future__ import annotations

from typing import Any

from python_shipper.alerts.notice import RESOLVED, Notification, rows

COLOURS = {
    "debug": "#8a8f98",
    "info": "#2f81f7",
    "warning": "#d4a72c",
    "error": "#d1242f",
    "critical": "#8b0000",
    "resolved": "#2da44e",
}
TEXT_CHARACTERS = 3_000
LONG_CHARACTERS = 40  # a longer value takes a line of its own
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str) -> str:
    """``text`` as Slack shows it: no link, mention or channel comes out of what a log line holds."""
    return "".join(ESCAPES.get(character, character) for character in text[:TEXT_CHARACTERS])


def link(address: str, shown: str) -> str:
    """A link."""
    return f"<{escaped(address).replace('|', '%7C')}|{escaped(shown)}>" if address else escaped(shown)


def fact(name: str, value: str) -> dict[str, Any]:
    """One field of an attachment; ``value`` is escaped already."""
    return {"title": escaped(name), "value": value, "short": len(value) <= LONG_CHARACTERS}


def payload(notification: Notification) -> dict[str, Any]:
    """The notification as a webhook's JSON."""
    attachments = []
    for item in notification.items:
        state = RESOLVED if item["status"] == RESOLVED else item["severity"]
        facts = [fact(name, escaped(value)) for name, value in rows(item)]
        facts += [fact("trace", link(notification.traces.get(trace, ""), trace)) for trace in item["traces"]]
        attachments.append(
            {
                "color": COLOURS.get(state, COLOURS["critical"]),
                "title": escaped(f"[{state.upper()}] {item['kind']}"),
                "text": escaped(item["message"]),
                "fields": facts,
                "footer": escaped(f"alert {item['alert']} · rule {notification.rule}"),
                "mrkdwn_in": [],
            }
        )
    if notification.more:
        attachments.append({"text": f"and {notification.more:,} more; shipper alerts list shows all"})
    return {"text": escaped(notification.title), "attachments": attachments}
