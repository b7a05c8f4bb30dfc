"""The JSON API against its own description: requests made from it find nothing that it does not say."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from python_shipper.dashboard import create_app
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore
from tests.dashboard.serving import served

TOKEN = "a token of some length"
COMMAND = (
    str(Path(sys.executable).with_name("schemathesis")), "run", "--checks=all", "--max-examples=40", "--seed=1",
    # A description cannot say which texts are queries and times, so a refused one is no finding.
    "--exclude-checks=positive_data_acceptance",
    "--no-color",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, TOKEN])
def test_schemathesis_finds_nothing(filled: Path, now: None, tmp_path: Path, token: str | None) -> None:
    header = [f"--header=Authorization: Bearer {token}"] if token else []
    app_settings = Settings(data_dir=filled, api_token=token)
    with closing(TantivyStore.open(filled)) as store, served(create_app(app_settings, store, dict)) as address:
        command = [*COMMAND, *header, f"{address}/openapi.json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "Tested: 8" in done.stdout
