"""The code on the page about integrations runs, and does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

PAGE = Path(__file__).parent.parent.parent / "docs" / "integrations.md"
INSTALLED, CORRELATED, CAPTURED = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - it is our own page
    return names


@pytest.mark.parametrize("code", [INSTALLED, CORRELATED])
def test_the_applications_return_the_trace_id(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("python_shipper.configure", lambda **_: None)  # this process's logging stays as it is
    app = run(code)["app"]
    assert TestClient(app).get("/orders/o1", headers={"X-Trace-ID": "abc123"}).headers["x-trace-id"] == "abc123"


def test_the_sample_of_capture_holds() -> None:
    run(CAPTURED)
