"""What the far side of a route answered, whatever it speaks."""

from __future__ import annotations

from dataclasses import dataclass

SAID_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of one attempt."""

    taken: bool
    said: str  # for a person: "200 OK", "timed out after 10 s", "550 no such user"
    retry_after_seconds: float | None = None  # what the far side asked for
    refused: bool = False  # it is there, and does not want this; another notification may fare better


def short(text: object) -> str:
    """The far side's words on one line, cut."""
    return " ".join(str(text).split())[:SAID_CHARACTERS]
