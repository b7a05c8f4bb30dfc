"""Logstash's files: syntax by a full grammar, setting names that 9.x knows, and references from file to file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import parsed_ms
from tests.pipeline.engines import SHIM
from tests.stack import obtain

ROOT = Path(__file__).parent.parent.parent
LOGSTASH = ROOT / "logstash"
IMAGE = "/usr/share/logstash"
CONFIGS = sorted((LOGSTASH / "pipeline").rglob("*.conf"))
OPTIONAL = sorted((LOGSTASH / "pipeline").glob("*.conf.disabled"))
PIPELINES = yaml.safe_load((LOGSTASH / "config" / "pipelines.yml").read_text())
BY_HAND = "replay"

# The settings that we use, by plugin, as Logstash 9's plugin reference names them.
KNOWN = {
    "input beats": "id port enrich ssl_enabled ssl_certificate ssl_key ssl_certificate_authorities"
    " ssl_client_authentication",
    "input pipeline": "id address",
    "input http": "id port codec add_field ssl_enabled ssl_certificate ssl_key ssl_certificate_authorities"
    " ssl_client_authentication",
    "filter mutate": "id rename",
    "input dead_letter_queue": "id path pipeline_id commit_offsets",
    "input http_poller": "id urls schedule codec",
    "filter ruby": "id path script_params",
    "output elasticsearch": "id hosts user password ssl_enabled ssl_certificate_authorities index document_id action"
    " silence_errors_in_log data_stream ilm_enabled manage_template",
    "output pipeline": "id send_to",
}
KNOWN_YML = {"api.http.host", "api.http.port", "pipeline.ecs_compatibility", "queue.drain"}
KNOWN_PIPELINE = {
    "pipeline.id", "path.config", "pipeline.workers", "queue.type", "queue.max_bytes", "queue.checkpoint.writes",
    "dead_letter_queue.enable", "dead_letter_queue.max_bytes", "dead_letter_queue.retain.age",
    "dead_letter_queue.flush_interval",
}  # fmt: skip


@pytest.fixture(scope="module")
def plugins() -> list[dict[str, Any]]:
    program = obtain.part("logstash-config", lambda: obtain.go_program("logstash_config"))
    done = subprocess.run([program, *CONFIGS, *OPTIONAL], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.needs("go")
def test_every_plugin_and_setting_is_one_that_logstash_9_knows(plugins: list[dict[str, Any]]) -> None:
    assert {plugin["file"] for plugin in plugins} == set(map(str, CONFIGS + OPTIONAL))
    for plugin in plugins:
        known = set(KNOWN[f"{plugin['section']} {plugin['name']}"].split())
        assert set(plugin["settings"]) <= known, plugin["file"]
        assert "id" in plugin["settings"], f"{plugin['file']}: a plugin without an id cannot be told in statistics"


@pytest.mark.slow
@pytest.mark.needs("go")
def test_outputs_create_under_their_own_id_and_leave_setup_alone(plugins: list[dict[str, Any]]) -> None:
    outputs = [plugin["settings"] for plugin in plugins if plugin["name"] == "elasticsearch"]
    assert len(outputs) == 3
    assert len({json.dumps({**settings, "id": ""}) for settings in outputs}) == 1, "the three should differ by id only"
    expected = {"action": '"create"', "data_stream": "false", "ilm_enabled": "false", "manage_template": "false"}
    assert expected.items() <= outputs[0].items()
    assert "version_conflict_engine_exception" in outputs[0]["silence_errors_in_log"]


@pytest.mark.slow
@pytest.mark.needs("go")
@pytest.mark.parametrize("fault", ["input { beats { port => } }", "output { stdout { }", "filter { if [a] == { } }"])
def test_a_fault_in_the_syntax_is_found(tmp_path: Path, fault: str) -> None:
    program = obtain.part("logstash-config", lambda: obtain.go_program("logstash_config"))
    (tmp_path / "bad.conf").write_text(fault)
    done = subprocess.run([program, tmp_path / "bad.conf"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "bad.conf" in done.stderr


def test_settings_files_use_names_that_logstash_9_knows() -> None:
    assert set(yaml.safe_load((LOGSTASH / "config" / "logstash.yml").read_text())) <= KNOWN_YML
    assert {key for pipeline in PIPELINES for key in pipeline} <= KNOWN_PIPELINE


def test_every_config_belongs_to_one_pipeline() -> None:
    globs = [pipeline["path.config"].removeprefix(f"{IMAGE}/pipeline/") for pipeline in PIPELINES]
    taken = [path for pattern in globs for path in (LOGSTASH / "pipeline").glob(pattern)]
    assert sorted(taken) == [path for path in CONFIGS if path.parent.name != BY_HAND]


def test_intakes_files_are_numbered_in_order_of_travel() -> None:
    sections = ["input", "filter", "output"]
    files = sorted((LOGSTASH / "pipeline").glob("*.conf"))
    kinds = [re.search("^(input|filter|output) ", file.read_text(), re.MULTILINE)[1] for file in files]  # type: ignore[index]
    assert all(re.match("[1-9]0_", file.name) for file in files)
    assert kinds == sorted(kinds, key=sections.index)


def test_queues_and_addresses_that_are_named_exist() -> None:
    text = "\n".join(path.read_text() for path in CONFIGS)
    by_id = {pipeline["pipeline.id"]: pipeline for pipeline in PIPELINES}
    for name in re.findall(r'pipeline_id => "(\w+)"', text):
        assert by_id[name]["dead_letter_queue.enable"] is True
    assert set(re.findall(r'send_to => \["(\w+)"\]', text)) == set(re.findall(r'address => "(\w+)"', text))


def test_scripts_and_variables_that_are_named_exist() -> None:
    text = "\n".join(path.read_text() for path in CONFIGS)
    for script in re.findall(r"scripts\}/(\w+\.rb)", text):
        source = (LOGSTASH / "pipeline" / "scripts" / script).read_text()
        assert source.isascii(), f"{script} is read in the machine's encoding; what is not ASCII belongs in shipper/"
    environment = (ROOT / "docker-compose.yml").read_text()
    handed_out = (ROOT / "python_shipper" / "stack" / "handout.py").read_text()
    for name, default in re.findall(r"\$\{(\w+)(:?)", text):
        assert default or f"{name}:" in environment or name in handed_out, name


RUN = """
  script, event = ARGV[0], LogStash::Event.new(JSON.parse(ARGV[1]))
  context = Object.new
  context.instance_eval(File.read(script), script)
  context.register({})
  stored, = context.filter(event)
  puts JSON.generate(stored.to_hash)
"""


def run(script: str, event: dict[str, Any]) -> dict[str, Any]:
    prelude = SHIM.read_text().partition("# One instance of the filter")[0]
    path = str(LOGSTASH / "pipeline" / "scripts" / script)
    done = subprocess.run(
        ["ruby", "-e", prelude + RUN, path, json.dumps(event)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.needs("ruby")
def test_plain_text_becomes_a_line_of_its_service() -> None:
    event = {
        "@timestamp": "2026-11-22T05:00:00.000Z",
        "message": 'a "b"\n  c',
        "fields": {"plain_text_service": "cron"},
    }
    made = run("plain_text.rb", event)["message"].encode()
    now = parsed_ms("2026-11-22T06:00:00Z")
    routed = Pipeline().process(made, Source("/var/log/plain/cron.log", "", 0), now)
    assert routed.index == "christmas-logs-cron-2026.11.22"
    assert routed.document["message"] == event["message"]


@pytest.mark.needs("ruby")
@pytest.mark.parametrize(
    ("dead", "dropped", "level"), [(10, 0, "info"), (600_000_000, 0, "warning"), (10, 3, "error"), (None, None, "info")]
)
def test_queue_sizes_become_a_line_about_logstash(dead: int | None, dropped: int | None, level: str) -> None:
    letters = {"queue_size_in_bytes": dead, "dropped_events": dropped} if dead is not None else {}
    statistics = {"pipelines": {"intake": {"queue": {"queue_size_in_bytes": 5}, "dead_letter_queue": letters}}}
    made = run("queue_sizes.rb", {"@timestamp": "2026-11-22T05:00:00.000Z", **statistics})
    now = parsed_ms("2026-11-22T06:00:00Z")
    routed = Pipeline().process(made["message"].encode(), Source(made["log"]["file"]["path"], "", 0), now)
    assert routed.index == "christmas-logs-logstash-2026.11.22"
    assert routed.document["log.level"] == level
    sizes = {"queue_bytes": 5, "dead_letter_queue_bytes": dead or 0, "dead_letters_dropped": dropped or 0}
    assert routed.document["christmas"]["extra"] == sizes
