"""The stack's passwords: made once into one file that only its owner reads, checked, and rotated by one command."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from python_shipper.errors import ConfigurationError

PASSWORDS = "passwords"
SHORTEST = 12
PREVIOUS = ".previous"
# The user that each component signs in as; nothing but setup uses `elastic`.
MACHINES = ("kibana_system", "logstash_writer", "filebeat_monitor", "health_check")
PEOPLE = ("logs_admin", "logs_support", "logs_viewer", "audit_reader")
NAMES = ("elastic", *MACHINES, *PEOPLE, "kibana_encryption_key")
HEADER = """\
# The passwords of the ELK stack, one `name=password` a line, taken literally to the end of the line.
# People sign in to Kibana as one of the logs_* users or audit_reader. After an edit: shipper up
"""


def ensure(folder: Path) -> dict[str, str]:
    """Every password by name; what has no line yet is generated and added to ``folder/passwords``, mode 0600.

    Raises:
        ConfigurationError: a line that is not ``name=password``, an unknown name, or an empty or short password.
    """
    given = read(folder / PASSWORDS)
    complete = {name: given.get(name) or generate() for name in NAMES}
    complete |= {name: value for name, value in given.items() if name.endswith(PREVIOUS)}
    if complete != given:
        write(folder / PASSWORDS, complete)
    return complete


def generate() -> str:
    """A password of 32 letters and digits: 190 bits, and no character that any configuration language reads."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(alphabet) for _ in range(32))


def read(path: Path) -> dict[str, str]:
    """The passwords in ``path`` by name; none where there is no such file.

    Raises:
        ConfigurationError: a line cannot be used; the message names file and line, never the password.
    """
    if not path.exists():
        return {}
    lines = enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
    return dict(parsed(line, f"{path}:{number}") for number, line in lines if line.strip() and line[0] != "#")


def parsed(line: str, where: str) -> tuple[str, str]:
    """The name and password of one line."""
    name, equals, password = line.partition("=")
    if not equals or name.removesuffix(PREVIOUS) not in NAMES:
        raise ConfigurationError(
            f"{where}: expected <name>=<password> with a name of {', '.join(NAMES)}; mend the line"
        )
    if len(password) < SHORTEST:
        given = f"has {len(password)} characters" if password else "is missing"
        raise ConfigurationError(
            f"{where}: the password of {name} {given}, at least {SHORTEST} are needed; "
            f"set one, or delete the line and a password is made"
        )
    if name == "kibana_system" and "${" in password:
        raise ConfigurationError(f"{where}: Kibana would read ${{…}} in its password as a variable; choose another")
    if name == "logstash_writer" and not password.isascii():
        raise ConfigurationError(f"{where}: Logstash sends a letter outside ASCII in its password as ?; choose another")
    return name, password


def write(path: Path, passwords: Mapping[str, str]) -> None:
    """Replace ``path`` whole, readable by its owner only."""
    lines = [f"{name}={password}\n" for name, password in passwords.items()]
    write_private(path, HEADER + "".join(lines))


def write_private(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write ``content`` beside ``path`` with ``mode`` from the start, then rename: never half a secret, never open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    owner = path.parent.stat()
    if os.geteuid() == 0:
        os.chown(new, owner.st_uid, owner.st_gid)
    new.rename(path)


def rotate(folder: Path, names: Iterable[str] = NAMES) -> dict[str, str]:
    """New passwords for ``names``, except the encryption key, without which Kibana cannot read what it stored.

    The superuser's old password is kept as ``elastic.previous`` until setup has set the new one with it.
    """
    old = ensure(folder)
    new = old | {name: generate() for name in names if name != "kibana_encryption_key"}
    if new["elastic"] != old["elastic"]:
        new["elastic" + PREVIOUS] = old.get("elastic" + PREVIOUS, old["elastic"])
    write(folder / PASSWORDS, new)
    return new


def settle(folder: Path) -> None:
    """Forget the superuser's previous password: setup has succeeded with the present one."""
    given = read(folder / PASSWORDS)
    if given.pop("elastic" + PREVIOUS, None) is not None:
        write(folder / PASSWORDS, given)
