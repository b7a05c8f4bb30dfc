"""What in a report is out of bounds: the error rate of the whole, and operations that answer too slowly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from python_shipper.analyzers import Finding
from python_shipper.errors import ConfigurationError
from python_shipper.units import milliseconds

HIGH_ERROR_RATE, SLOW_RESPONSE = "high_error_rate", "slow_response"
SEVERITIES = ((4.0, "critical"), (2.0, "error"), (0.0, "warning"))  # by how many times the threshold is reached


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still in order: errors by events (0.05 is 5 %), and the 95th percentile of an operation in ms."""

    error_rate: float = 0.05
    p95_ms: float = 1_000.0

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a limit below zero."""
        for name, value in (("error_rate", self.error_rate), ("p95_ms", self.p95_ms)):
            if not value >= 0:
                raise ConfigurationError(f"limit {name}: expected a number of at least 0, got {value!r}")


def severity(value: float, threshold: float) -> str:
    """How bad it is: a warning above the threshold, an error from twice, critical from four times on."""
    times = value / threshold if threshold else float("inf")
    return next(word for least, word in SEVERITIES if times >= least)


def high_error_rate(
    errors: int, events: int, records: int, limits: Limits, evidence: Callable[[], Sequence[str]]
) -> list[dict[str, Any]]:
    """The anomaly of too many errors: by events, or by all records where there are no events at all."""
    whole, of = (events, "events") if events else (records, "records")
    if not whole or errors / whole <= limits.error_rate:
        return []
    value = errors / whole
    return [
        {
            "type": HIGH_ERROR_RATE,
            "severity": severity(value, limits.error_rate),
            "value": round(value, 6),
            "of": of,
            "threshold": limits.error_rate,
            "evidence": list(evidence()),
        }
    ]


def slow_responses(
    operations: Sequence[Mapping[str, Any]], limits: Limits, evidence: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """An anomaly for each operation whose 95th percentile is beyond the limit, the slowest first."""
    return [
        {
            "type": SLOW_RESPONSE,
            "severity": severity(row["p95_ms"], limits.p95_ms),
            "operation": row["operation"],
            "p95_ms": row["p95_ms"],
            "threshold": limits.p95_ms,
            "evidence": list(evidence.get(row["operation"], ())),
        }
        for row in operations
        if row["p95_ms"] > limits.p95_ms
    ]


def findings(results: Mapping[str, Any]) -> list[Finding]:
    """The anomalies of a report as findings, for :mod:`python_shipper.alerts`; their time is the period's end."""
    at_ms = round(datetime.fromisoformat(results["period"]["to"]).timestamp() * 1000) if results["period"] else 0
    return [
        Finding(
            kind=anomaly["type"],
            severity=anomaly["severity"],
            message=sentence(anomaly),
            at_ms=at_ms,
            operation=anomaly.get("operation"),
            value=anomaly.get("value", anomaly.get("p95_ms")),
            threshold=anomaly["threshold"],
            evidence=tuple(anomaly["evidence"]),
        )
        for anomaly in results["anomalies"]
    ]


def sentence(anomaly: Mapping[str, Any]) -> str:
    """An anomaly in one sentence."""
    if anomaly["type"] == HIGH_ERROR_RATE:
        return f"errors are {anomaly['value']:.1%} of {anomaly['of']}, above {anomaly['threshold']:.1%}"
    return (
        f"{anomaly['operation']} answers in {milliseconds(anomaly['p95_ms'])} at the 95th percentile, "
        f"above {milliseconds(anomaly['threshold'])}"
    )
