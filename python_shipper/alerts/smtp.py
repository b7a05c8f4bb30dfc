"""Sends e-mail with the standard library: STARTTLS or TLS from the start, login, and a Message-ID of our own."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from python_shipper.alerts.answer import Answer, short

PORTS = {"starttls": 587, "implicit": 465, "none": 25}
SUBJECT_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A mail server, how to talk to it, and who writes to whom."""

    host: str
    port: int | None = None
    tls: str = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str
    to: Sequence[str]
    timeout: float = 10.0
    ca: Path | None = None


def message(box: Mailbox, id: str, subject: str, text: str) -> EmailMessage:
    """A plain text message; the same ``id`` gives the same Message-ID, by which a receiver drops repeats."""
    made = EmailMessage()
    made["From"], made["To"] = box.sender, ", ".join(box.to)
    made["Subject"] = " ".join(subject.split())[:SUBJECT_CHARACTERS]
    made["Date"] = formatdate()
    made["Message-ID"] = f"<{id}@{box.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text)
    return made


def send(box: Mailbox, made: EmailMessage) -> Answer:
    """Hand ``made`` to the server; every failure is an answer too."""
    try:
        with connected(box) as server:
            refused = server.send_message(made, box.sender, list(box.to))
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        return Answer(taken=False, said=short(f"{code} {said(words)}"), refused=True)
    except smtplib.SMTPResponseException as error:
        code, reply = error.smtp_code, error.smtp_error
        return Answer(taken=False, said=short(f"{code} {said(reply)}"), refused=500 <= code < 600)
    except TimeoutError:
        return Answer(taken=False, said=f"timed out after {box.timeout:g} s")
    except (OSError, ValueError) as error:  # SMTPException is an OSError
        return Answer(taken=False, said=short(f"{type(error).__name__}: {error}"))
    return Answer(taken=True, said=f"250, but {len(refused)} recipient(s) refused" if refused else "250 accepted")


def connected(box: Mailbox) -> smtplib.SMTP:
    """A session, encrypted and logged in as the box asks for.

    Raises:
        OSError: it cannot be opened; smtplib's own errors are ones too.
    """
    port = box.port or PORTS[box.tls]
    if box.tls == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(box.host, port, timeout=box.timeout, context=trusted(box))
    else:
        server = smtplib.SMTP(box.host, port, timeout=box.timeout)
    try:
        if box.tls == "starttls":
            server.starttls(context=trusted(box))
        if box.user is not None and box.password is not None:
            server.login(box.user, box.password)
    except BaseException:
        server.close()
        raise
    return server


def trusted(box: Mailbox) -> ssl.SSLContext:
    """TLS that checks the server's certificate and name."""
    return ssl.create_default_context(cafile=box.ca)


def said(words: bytes | str) -> str:
    """The server's words."""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words
