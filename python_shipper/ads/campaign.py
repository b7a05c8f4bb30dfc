"""What a campaign is and how it does: one line for people and dashboards, one event for those who watch the stream."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from python_shipper.ads.given import fields_in
from python_shipper.contract import contract
from python_shipper.core.plain import safe_text
from python_shipper.errors import ConfigurationError

if TYPE_CHECKING:
    from python_shipper.ads.logging_system import AdLoggingSystem
    from python_shipper.ads.stream import Receipt

TARGET_ROAS = 1.0
NAMESPACE = "christmas.campaign."
CREATED, PERFORMANCE = "campaign_created", "campaign_performance"
# The campaign's own fields by the names that callers use for them.
FIELDS = {
    path.removeprefix(NAMESPACE): path
    for path in contract().fields
    if path.startswith(NAMESPACE) and path != f"{NAMESPACE}id"
}
KINDS = {CREATED: "event", PERFORMANCE: "metric"}


class CampaignLogger:
    """Logs campaigns; each call writes a line and puts an event into the system's stream.

    Both methods may be awaited, for the event's id once the stream has it (None if it has not in time), or not.
    """

    def __init__(self, system: AdLoggingSystem, target_roas: float = TARGET_ROAS) -> None:
        """Log through ``system``; a campaign whose ROAS is under ``target_roas`` is a warning.

        Raises:
            ConfigurationError: the target is no number.
        """
        target = number(target_roas)
        if target is None:
            raise ConfigurationError(f"campaign logger: target_roas: expected a number, got {target_roas!r:.80}")
        self._system, self._target_roas = system, target
        self._log = system.get_logger(f"{system.settings.service_name}.campaign")

    def log_campaign_created(self, campaign_id: str, campaign_data: Mapping[str, Any]) -> Receipt:
        """A campaign begins: ``campaign_data`` may hold name, budget, target_roas and anything else."""
        data = fields_in(campaign_data, "data")
        return self._write(logging.INFO, CREATED, campaign_id, data, f"campaign {safe_text(campaign_id)} created")

    def log_campaign_performance(self, campaign_id: str, metrics: Mapping[str, Any]) -> Receipt:
        """How a campaign does: impressions, clicks, conversions, spend, revenue, ctr, roas.

        ``ctr`` (clicks by impressions) and ``roas`` (revenue by spend) are computed where they are absent; by zero
        there is none. The line is a WARNING where ROAS is under ``target_roas``, the campaign's in ``metrics`` or the
        logger's.
        """
        figures = fields_in(metrics, "metrics")
        figures |= computed(figures)
        roas, target = number(figures.get("roas")), number(figures.get("target_roas"))
        target = self._target_roas if target is None else target
        campaign = f"campaign {safe_text(campaign_id)}"
        if roas is None or roas >= target:
            return self._write(logging.INFO, PERFORMANCE, campaign_id, figures, f"{campaign} performance")
        figures["target_roas"] = target
        message = f"{campaign}: ROAS {roas:.2f} is under its target of {target:.2f}"
        return self._write(logging.WARNING, PERFORMANCE, campaign_id, figures, message)

    def _write(self, level: int, action: str, campaign_id: str, data: dict[str, Any], message: str) -> Receipt:
        fields = {FIELDS.get(name, str(name)): value for name, value in data.items()}
        own = {"event.action": action, "event.kind": KINDS[action], "campaign_id": campaign_id}
        self._log.log(level, message, **{**fields, **own})
        return self._system.put_event(action, {**data, "campaign_id": campaign_id})


def computed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """CTR and ROAS from what they are made of, where they are absent and can be had."""
    ratios = {"ctr": ("clicks", "impressions"), "roas": ("revenue", "spend")}
    found = {name: ratio(metrics, *parts) for name, parts in ratios.items() if metrics.get(name) is None}
    return {name: value for name, value in found.items() if value is not None}


def ratio(metrics: Mapping[str, Any], above: str, below: str) -> float | None:
    """One measure by another; None where one is absent or the lower one is zero."""
    top, bottom = number(metrics.get(above)), number(metrics.get(below))
    return round(top / bottom, 6) if top is not None and bottom else None


def number(value: Any) -> float | None:
    """A finite number, also from its text; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and not isinstance(value, bool) else None
