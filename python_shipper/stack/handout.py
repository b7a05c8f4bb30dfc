"""Hands each service its own secrets and no other's: one folder (a volume) a service, readable by its user only."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from python_shipper.core.masking import masker_of
from python_shipper.settings import Settings
from python_shipper.stack import certificates, secrets

# The user that the official images run as; root's group is what they expect beside it.
OWNER = (1000, 0)
Passwords = Mapping[str, str]


def kibana_settings(passwords: Passwords) -> str:
    """The part of kibana.yml that is secret; JSON strings are YAML."""
    key = passwords["kibana_encryption_key"]
    values = {
        "elasticsearch.password": passwords["kibana_system"],
        "xpack.encryptedSavedObjects.encryptionKey": key,
        "xpack.reporting.encryptionKey": key,
        "xpack.security.encryptionKey": key,
    }
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())


def health_check(passwords: Passwords) -> str:
    """A curl configuration, so that no password stands in a process list."""
    quoted = json.dumps(f"health_check:{passwords['health_check']}", ensure_ascii=False)
    return f'user = {quoted}\ncacert = "/usr/share/elasticsearch/config/secrets/ca.crt"\n'


def logstash_variable(passwords: Passwords) -> str:
    """A line that a shell reads literally, whatever the password holds; Logstash takes it as it is."""
    return f"export LOGSTASH_WRITER_PASSWORD={shlex.quote(passwords['logstash_writer'])}\n"


def beat_variable(passwords: Passwords) -> str:
    """The same for Filebeat, which reads a variable's value as a value of its own language unless it is quoted."""
    quoted = json.dumps(passwords["filebeat_monitor"], ensure_ascii=False)
    return f"export FILEBEAT_MONITOR_PASSWORD={shlex.quote(quoted)}\n"


def everything(passwords: Passwords) -> str:
    """All passwords: for setup alone."""
    return "".join(f"{name}={value}\n" for name, value in passwords.items())


def for_watching(passwords: Passwords) -> str:
    """The one password that asking for the disks takes."""
    return f"health_check={passwords['health_check']}\n"


# Service -> file -> its content; ca.crt and the service's own certificate and key come beside these.
FILES: dict[str, dict[str, Callable[[Passwords], str]]] = {
    "elasticsearch": {"elastic_password": lambda passwords: passwords["elastic"], "health.curlrc": health_check},
    "kibana": {"kibana.yml": kibana_settings},
    "logstash": {"logstash.env": logstash_variable},
    "filebeat": {"filebeat.env": beat_variable},
    "setup": {secrets.PASSWORDS: everything},
    "watch": {secrets.PASSWORDS: for_watching},
}


def masking_files(settings: Settings) -> dict[str, Path | None]:
    """What masking in Logstash reads of the user's own, by its name there; None where the setting is not given.

    Raises:
        ConfigurationError: one of them cannot be used; said here, before Logstash would fail over it.
    """
    masker_of(settings)
    return {"hash.key": settings.log_hash_key_file, "masking.yml": settings.log_masking_file}


def hand_out(folder: Path, target: Path, masking: Mapping[str, Path | None]) -> None:
    """Write ``target/<service>/…`` for every service from the secrets in ``folder``; needs root for the owner.

    ``masking`` (:func:`masking_files`) is copied for Logstash, which could not read a 0600 file of somebody else's.

    ``target/backups`` is no secret, but a new volume that Elasticsearch's user has to be able to write.

    Raises:
        ConfigurationError: the passwords cannot be used.
    """
    passwords = secrets.ensure(folder)
    os.chown(target / "backups", *OWNER)
    for service, files in FILES.items():
        here = target / service
        here.mkdir(mode=0o700, exist_ok=True)
        certificate = [f"{service}.crt", f"{service}.key"] if service in certificates.SERVICES else []
        for name in ["ca.crt", *certificate]:
            shutil.copyfile(folder / name, here / name)
        for name, content in files.items():
            (here / name).write_text(content(passwords), encoding="utf-8")
        for name, given in masking.items() if service == "logstash" else ():
            shutil.copyfile(given, here / name) if given else (here / name).unlink(missing_ok=True)
        for path in [here, *here.iterdir()]:
            path.chmod(0o500 if path is here else 0o400)
            os.chown(path, *OWNER)
