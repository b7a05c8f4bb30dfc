"""A fresh environment with `pip install .` and nothing else: ten lines write valid ECS, and no framework came along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"orjson", "PyYAML", "python-json-logger", "python-shipper", "pip", "setuptools"}
SCRIPT = """
import logging
import python_shipper

python_shipper.configure(service="orders", log_dir="logs")
log = python_shipper.get_logger("orders.api")
with python_shipper.bound(trace_id="abc123"):
    log.info("order executed", order_id="o1", duration=0.012)
    logging.getLogger("third.party").warning("account %s refused", "110-12-345678")
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the base install only."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", str(ROOT)]
    subprocess.run(install, check=True, cwd=folder)
    return python


@pytest.mark.slow
def test_the_base_install_is_small(fresh: Path) -> None:
    listed = subprocess.run([fresh, "-m", "pip", "list", "--format=json"], check=True, capture_output=True)
    assert {package["name"] for package in orjson.loads(listed.stdout)} - ALLOWED == set()


@pytest.mark.slow
def test_ten_lines_write_valid_ecs(fresh: Path, tmp_path: Path) -> None:
    subprocess.run([fresh, "-c", SCRIPT], check=True, cwd=tmp_path)
    header, order, refused = map(orjson.loads, (tmp_path / "logs" / "orders.ecs.log").read_bytes().splitlines())
    assert header["event"]["action"] == "segment-opened"
    assert list(order)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert order["trace"]["id"] == refused["trace"]["id"] == "abc123"
    assert order["christmas"]["order"]["id"] == "o1"
    assert refused["message"] == "account ***5678 refused"


@pytest.mark.slow
def test_the_ad_systems_classes_run(fresh: Path, tmp_path: Path) -> None:
    subprocess.run([fresh, ROOT / "tests" / "ads" / "usual.py"], check=True, cwd=tmp_path, capture_output=True)
    code = "from python_shipper import AdRequestTracker; AdRequestTracker().get_request_journey('r')"
    asked = subprocess.run([fresh, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "pip install 'python-shipper[embedded]'" in asked.stderr.splitlines()[-1]
    code = "from python_shipper import AdLogAnalyzer"
    asked = subprocess.run([fresh, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "AdLogAnalyzer needs duckdb, which is not installed; pip install" in asked.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_command_names_the_packages_it_lacks(fresh: Path) -> None:
    asked = subprocess.run([fresh.parent / "shipper", "indices"], capture_output=True, text=True)
    assert asked.returncode == 2
    assert asked.stderr.count("\n") == 1
    assert "pip install 'python-shipper[" in asked.stderr


@pytest.mark.slow
def test_the_wheel_carries_the_contract_of_both_stacks(fresh: Path) -> None:
    code = "from python_shipper.contract import deployed; print(*map(deployed, ('elasticsearch', 'ilm_policies')))"
    found = subprocess.run([fresh, "-c", code], check=True, capture_output=True, text=True, cwd="/")
    assert found.stdout.count("_deploy") == 2
