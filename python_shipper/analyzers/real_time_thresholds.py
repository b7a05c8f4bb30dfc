"""What the real-time analyser holds for wrong, as data: the shipped ``real_time.yml``, and a file that overrides it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from python_shipper.analyzers import SEVERITIES
from python_shipper.contract import read_yaml
from python_shipper.errors import ConfigurationError

DEFAULT = Path(__file__).parent / "real_time.yml"
LISTS = ("slos", "burn_rates")
MOST_SLOS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """A service level objective: which share of a service's measured events must be good."""

    name: str
    service: str
    objective: float
    operation: str | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """How many times too fast the error budget may be used up, in two windows at once."""

    long_seconds: float
    short_seconds: float
    times: float
    severity: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every number by section and key, the objectives and the burn rates."""

    numbers: dict[str, dict[str, float]]
    slos: tuple[Slo, ...]
    burn_rates: tuple[BurnRate, ...]

    def __getitem__(self, section: str) -> dict[str, float]:
        return self.numbers[section]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The shipped thresholds, with those of the file ``path`` in their place.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown or holds what it may not; the message names
            file, key and what was expected.
    """
    shipped = read_yaml(DEFAULT)
    return Reader(path or DEFAULT).thresholds(shipped, content(path) if path else {})


def content(path: Path) -> Any:
    """The file as YAML has it; an empty one overrides nothing."""
    try:
        return read_yaml(path) or {}
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; see ANALYSIS_FILE") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error


class Reader:
    """One file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def thresholds(self, shipped: dict[str, Any], given: Any) -> Thresholds:
        """The whole."""
        self.known("", given, tuple(shipped))
        numbers = {}
        for section, defaults in shipped.items():
            if section not in LISTS:
                own = given.get(section, {})
                self.known(section, own, tuple(defaults))
                numbers[section] = {
                    key: self.number(f"{section}.{key}", own.get(key, default)) for key, default in defaults.items()
                }
        slos, rates = (self.rows(name, given.get(name, shipped[name])) for name in LISTS)
        return Thresholds(
            numbers,
            tuple(self.slo(f"slos[{at}]", row) for at, row in enumerate(slos)),
            tuple(self.burn_rate(f"burn_rates[{at}]", row) for at, row in enumerate(rates)),
        )

    def slo(self, where: str, row: dict[str, Any]) -> Slo:
        """An objective."""
        self.known(where, row, ("name", "service", "objective", "operation", "latency_ms"))
        texts = {key: row.get(key) for key in ("name", "service", "operation")}
        for key, value in texts.items():
            if not (isinstance(value, str) and value) and not (key == "operation" and value is None):
                self.refuse(f"{where}.{key}", "a text", value)
        objective = self.number(f"{where}.objective", row.get("objective"))
        if objective >= 1:
            self.refuse(f"{where}.objective", "a share below 1, such as 0.999", objective)
        latency = row.get("latency_ms")
        return Slo(
            **texts,  # type: ignore[arg-type]
            objective=objective,
            latency_ms=None if latency is None else self.number(f"{where}.latency_ms", latency),
        )

    def burn_rate(self, where: str, row: dict[str, Any]) -> BurnRate:
        """A pair of windows."""
        self.known(where, row, ("long_seconds", "short_seconds", "times", "severity"))
        if row.get("severity") not in SEVERITIES:
            self.refuse(f"{where}.severity", f"one of {', '.join(SEVERITIES)}", row.get("severity"))
        names = ("long_seconds", "short_seconds", "times")
        long, short, times = (self.number(f"{where}.{key}", row.get(key)) for key in names)
        return BurnRate(long_seconds=long, short_seconds=short, times=times, severity=row["severity"])

    def rows(self, where: str, value: Any) -> list[dict[str, Any]]:
        """A list of mappings."""
        if not isinstance(value, list) or len(value) > MOST_SLOS:
            self.refuse(where, f"a list of at most {MOST_SLOS} mappings", value)
        return value

    def known(self, where: str, value: Any, keys: tuple[str, ...]) -> None:
        """Refuse what is no mapping, or has a key that means nothing."""
        if not isinstance(value, dict):
            self.refuse(where or "the file", f"a mapping with some of {', '.join(keys)}", value)
        for key, item in value.items():
            if key not in keys:
                self.refuse(f"{where}.{key}".lstrip("."), f"one of {', '.join(keys)}", item)

    def number(self, where: str, value: Any) -> float:
        """A number above 0, and a share at most 1."""
        share = where.endswith(("ratio", "objective"))
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= (1 if share else 1e12):
            self.refuse(where, "a share above 0 and at most 1" if share else "a number above 0", value)
        return float(value)

    def refuse(self, where: str, expected: str, value: Any) -> NoReturn:
        """Say what is wrong, where, and what may stand there."""
        raise ConfigurationError(f"{self.path}: {where}: expected {expected}, got {str(value)[:80]!r}")
