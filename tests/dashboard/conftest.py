"""The dashboard over a real embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from python_shipper.dashboard import create_app
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore
from tests.dashboard.sample import NOW, fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPPER_NOW", NOW)


def client_for(folder: Path, **settings: Any) -> Iterator[TestClient]:
    store = TantivyStore.open(folder)
    status = {"state": "running", "fault": None, "lag_seconds": 0.25, "lines_total": 156, "disk": {"free_bytes": 7}}
    app = create_app(Settings(data_dir=folder, **settings), store, lambda: status)
    with TestClient(app, base_url="http://127.0.0.1:8686", follow_redirects=False) as client:
        yield client
    store.close()


@pytest.fixture
def client(filled: Path, now: None) -> Iterator[TestClient]:
    yield from client_for(filled)


@pytest.fixture
def empty(tmp_path: Path, now: None) -> Iterator[TestClient]:
    yield from client_for(tmp_path)


@pytest.fixture
def locked(filled: Path, now: None) -> Iterator[TestClient]:
    yield from client_for(filled, api_token="a token of some length")
