"""The one place that reads the environment: every setting, its type, default and meaning, as one table of fields."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from python_shipper.errors import ConfigurationError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


OCTAL = (r"0?[0-7]{3}", "three octal digits such as 0600")
TRACE_ADDRESS = (r"https?://[^\s{}]+[^{}\s]*\{trace_id\}[^\s{}]*", "an http(s) address with {trace_id} in it")
HEADER = (r"[A-Za-z0-9-]{1,64}", "the name of an HTTP header")


def setting(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    least: int = 0,
    most: int | None = None,
    shape: tuple[str, str] | None = None,
) -> Any:
    """One setting: its default, the sentence that explains it, and what it may be (``shape``: pattern and words)."""
    return field(
        default=default, metadata={"doc": doc, "choices": choices, "least": least, "most": most, "shape": shape}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; the environment variable is the field's name in capitals."""

    service_name: str = setting("unknown", "Name of the service on every line; its index part is made from it.")
    service_version: str | None = setting(None, "Version of the service on every line.")
    app_env: str = setting(
        "production", "Profile: coloured console and debug detail, or files.", choices=("development", "production")
    )
    log_level: str | None = setting(
        None, "Lowest level written; without it DEBUG in development and INFO in production.", choices=LEVELS
    )
    log_dir: Path = setting(Path("logs"), "Folder of the log files.")
    log_format: str = setting("ecs", "Form of a line: ECS JSON, or the nine flat keys.", choices=("ecs", "flat"))
    log_max_bytes: int = setting(10_000_000, "Size in bytes at which a segment is closed.", least=10_000)
    log_backup_count: int = setting(5, "Closed segments kept beside the open one.", least=1, most=100_000)
    log_daily_backup_count: int = setting(7, "Daily files kept for people.", least=1, most=3660)
    log_file_mode: str = setting(
        "0600", "Permission bits of log files, octal; 0640 lets the file's group read.", shape=OCTAL
    )
    log_queue: int = setting(0, "Records a non-blocking queue holds before it drops and counts; 0: no queue.")
    log_bodies: bool = setting(False, "Log request and response bodies, also in production.")
    log_sql: bool = setting(False, "Log SQL statements, also in production.")
    trace_header: str = setting("X-Trace-ID", "HTTP header that carries the trace id.", shape=HEADER)
    sentry_dsn: str | None = setting(None, "Where errors are sent; without it Sentry is off.")
    sentry_send_default_pii: bool = setting(True, "Sentry's own setting of that name; masking applies either way.")
    redis_url: str | None = setting(
        None,
        "Redis of the ad system's events, which the embedded stack analyses as they come: "
        "redis://host:6379/0, rediss:// with TLS.",
    )
    remote_log_url: str | None = setting(
        None, "Where `enable_remote_logging` sends lines: beats://logstash:5044; without it ELASTICSEARCH_URL."
    )
    elasticsearch_url: str | None = setting(None, "Elasticsearch that the command line and exporters talk to.")
    s3_url: str | None = setting(None, "Where `shipper archive` puts closed days: s3://bucket/prefix.")
    s3_endpoint_url: str | None = setting(None, "S3 server other than Amazon's, such as http://127.0.0.1:9000.")
    s3_encryption: str = setting(
        "AES256", "Server-side encryption of the archive's objects.", choices=("AES256", "aws:kms")
    )
    s3_kms_key_id: str | None = setting(None, "KMS key of that encryption; without it the bucket's default key.")
    log_hash_key_file: Path | None = setting(None, "File with the key of masking's hash action, 16 bytes at least.")
    log_masking_file: Path | None = setting(
        None, "YAML file with masking rules of your own; one of a shipped rule's name takes that rule's place."
    )
    log_services: str | None = setting(
        None, "Services that get indices of their own, separated by commas; the others share `overflow`; unset: all do."
    )
    data_dir: Path = setting(Path("data"), "Folder of the embedded store.")
    store_max_bytes: int = setting(0, "Bytes above which the embedded store drops its oldest logs; 0: no limit.")
    api_host: str = setting("127.0.0.1", "Address that the embedded stack's web server binds.")
    api_port: int = setting(8686, "Port that the embedded stack's web server binds.", least=1, most=65535)
    api_token: str | None = setting(None, "Token that the web server wants; required on any but a loopback address.")
    api_tls_cert: Path | None = setting(None, "Certificate chain (PEM) of the web server; needed off loopback.")
    api_tls_key: Path | None = setting(None, "Private key (PEM) of that certificate.")
    api_names: str = setting("", "Further host names under which the web server is asked for, comma-separated.")
    prometheus_textfile: Path | None = setting(
        None, "Metrics for node_exporter's textfile collector: a *.prom file in its folder."
    )
    alerts_file: Path | None = setting(
        None, "YAML file with alert rules and routes of your own; without it findings are kept and nothing is sent."
    )
    analysis_file: Path | None = setting(
        None,
        "YAML file with thresholds and objectives of your own for the real-time analysis.",
    )
    trace_url: str | None = setting(
        None,
        "Where notifications link a trace, with `{trace_id}` in it; without it the embedded stack's page.",
        shape=TRACE_ADDRESS,
    )
    kibana_url: str | None = setting(None, "Kibana that `shipper stack apply` gives its objects to.")
    secrets_dir: Path = setting(Path("secrets"), "Folder of the ELK stack's passwords and certificates.")
    certificate_names: str = setting("", "Further host names of this machine for certificates, comma-separated.")
    stack: str | None = setting(
        None, "Insist on one stack; without it ELK where Docker can run it.", choices=("elk", "embedded")
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of ``environ`` (default: the process's); an empty variable counts as unset.

        Raises:
            ConfigurationError: a variable holds something else than its setting takes.
        """
        environ = os.environ if environ is None else environ
        given = {f.name: environ[f.name.upper()] for f in fields(cls) if environ.get(f.name.upper())}
        return cls(**{name: parsed(name, text) for name, text in given.items()})


SPECS = {f.name: f for f in fields(Settings)}
BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def parsed(name: str, text: str) -> Any:
    """The value of setting ``name`` from its text.

    Raises:
        ConfigurationError: the text does not fit; the message names the variable and what is expected.
    """
    spec = SPECS[name]
    kind, choices = str(spec.type), spec.metadata["choices"]
    if choices:
        value = next((choice for choice in choices if choice.lower() == text.strip().lower()), None)
        return value if value is not None else refuse(name, text, f"one of {', '.join(choices)}")
    if kind == "bool":
        return BOOLEANS[text.lower()] if text.lower() in BOOLEANS else refuse(name, text, "true or false")
    if kind == "int":
        return whole_number(name, text, spec.metadata["least"], spec.metadata["most"])
    shape = spec.metadata["shape"]
    if shape and not re.fullmatch(shape[0], text):
        refuse(name, text, shape[1])
    return Path(text).expanduser() if kind.startswith("Path") else text


def whole_number(name: str, text: str, least: int, most: int | None) -> int:
    """The whole number in ``text``, underscores allowed, within its bounds."""
    expected = f"a whole number of at least {least}" + (f" and at most {most}" if most else "")
    try:
        value = int(text)
    except ValueError:
        refuse(name, text, expected)
    return value if value >= least and (most is None or value <= most) else refuse(name, text, expected)


def refuse(name: str, text: str, expected: str) -> Any:
    """Say which variable is wrong, what it holds and what it may hold."""
    raise ConfigurationError(f"{name.upper()}: expected {expected}, got {text[:80]!r}; correct or unset the variable")
