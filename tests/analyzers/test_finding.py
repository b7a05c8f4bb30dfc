"""What makes two findings the same one, and their plain form."""

import json

from python_shipper.analyzers import Finding

FINDING = Finding(kind="silence", severity="error", message="orders fell silent", at_ms=1, service="orders")


def test_key_tells_findings_apart_by_place_and_labels_not_by_time_or_value() -> None:
    later = Finding(kind="silence", severity="error", message="still", at_ms=2, service="orders", value=3.0)
    other = Finding(kind="silence", severity="error", message="x", at_ms=1, service="orders", labels={"region": "eu"})
    assert FINDING.key == later.key
    assert len({FINDING.key, other.key}) == 2


def test_finding_is_plain_data_for_json() -> None:
    assert json.loads(json.dumps(FINDING.as_dict()))["key"] == "silence|orders|"
