"""FINDING × RULE → ONE NOTIFICATION: who is told of a finding, when, and by which route.

finding → rules (how bad, silenced, cool-down, quiet hours) → outbox on disk → a sender a route → Slack, e-mail, webhook
"""

from python_shipper.alerts.desk import Alerts
from python_shipper.analyzers import SEVERITIES, Finding

__all__ = ["SEVERITIES", "Alerts", "Finding"]
