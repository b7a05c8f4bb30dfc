"""The web server's socket: bound before anything else starts, and who holds the port where it cannot be."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from pathlib import Path

from python_shipper.errors import StackError
from python_shipper.settings import Settings

LISTENING = "0A"
LAST_PORT = 65_535
LEAST_TOKEN = 16


def loopback(host: str) -> bool:
    """Whether ``host`` is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_exposure(settings: Settings) -> None:
    """Refuse to serve logs to other machines without TLS and a token that cannot be guessed.

    Raises:
        StackError: API_HOST is not a loopback address, and a token, certificate or key is missing, or the token short.
    """
    if loopback(settings.api_host):
        return
    where, instead = f"API_HOST={settings.api_host}: serving beyond this machine needs", "or use 127.0.0.1"
    wanted = ("api_token", "api_tls_cert", "api_tls_key")
    if missing := [name.upper() for name in wanted if not getattr(settings, name)]:
        raise StackError(f"{where} {', '.join(missing)}; set them, {instead}")
    if len(settings.api_token or "") < LEAST_TOKEN:
        raise StackError(f"{where} an API_TOKEN of at least {LEAST_TOKEN} characters; choose a longer one, {instead}")


def check_certificate(settings: Settings) -> None:
    """Refuse a certificate or key that cannot be used, before anything starts.

    Raises:
        StackError: one of the two is missing, unreadable, damaged, or not the other's.
    """
    cert, key = settings.api_tls_cert, settings.api_tls_key
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise StackError("API_TLS_CERT and API_TLS_KEY belong together; set both, or neither")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as error:
        reason = error.strerror or error
        raise StackError(
            f"API_TLS_CERT={cert}, API_TLS_KEY={key}: cannot be used ({reason}); both in PEM form"
        ) from None


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket on ``host``:``port``.

    Raises:
        StackError: the address cannot be bound; a process that holds the port is named.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except socket.gaierror as error:
        raise StackError(f"API_HOST={host}: not an address of this machine ({error.strerror}); use 127.0.0.1") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StackError(refused(host, port, error)) from None
    return listener


def refused(host: str, port: int, error: OSError) -> str:
    """Why ``host``:``port`` cannot be bound, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < LAST_PORT else Settings().api_port
        return f"{host}:{port}: the port is in use by {holder(port)}; stop it, or choose another: API_PORT={other}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"API_HOST={host}: not an address of this machine; use 127.0.0.1 or one of its own"
    return f"{host}:{port}: cannot listen there ({error.strerror}); choose another address: API_HOST, API_PORT"


def holder(port: int) -> str:
    """The process that listens on ``port``, as ``name (pid N)``, as far as Linux shows it to this user."""
    inodes = {row[9] for table in ("tcp", "tcp6") for row in rows(table) if listens(row, port)}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in Path("/proc").glob("[0-9]*"):
        if wanted & set(links(folder / "fd")):
            return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return "another user's process" if inodes else "another process"


def rows(table: str) -> list[list[str]]:
    """The rows of /proc/net/tcp or tcp6 (format: proc(5)), split; none where the system has no such file."""
    path = Path("/proc/net", table)
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def listens(row: list[str], port: int) -> bool:
    """Whether a row of that table is a listening socket on ``port``."""
    return row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port


def links(folder: Path) -> list[str]:
    """What the links in ``folder`` point to; none where it is not ours to read."""
    try:
        return [target(entry) for entry in folder.iterdir()]
    except OSError:
        return []


def target(link: Path) -> str:
    """What ``link`` points to; empty where it has just gone, as the one of reading its folder has."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def free_port(host: str, port: int) -> int:
    """``port`` if it can be bound, else any that can."""
    try:
        with listen(host, port):
            return port
    except StackError:
        with listen(host, 0) as listener:
            return int(listener.getsockname()[1])
