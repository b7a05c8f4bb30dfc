"""The Logstash scripts beyond the golden cases: their own faults, what Elasticsearch refused, and derived pretests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from python_shipper.contract import masking_rules, own_rules
from python_shipper.core.pretest import needs
from tests.pipeline.engines import ROOT, SHIM

SCRIPTS = ROOT / "logstash" / "pipeline" / "scripts"
pytestmark = pytest.mark.needs("ruby")


def ruby(code: str, *arguments: str) -> Any:
    """What ``code`` prints as JSON, run after the shim's Event is defined."""
    prelude = SHIM.read_text().partition("# One instance of the filter")[0]
    done = subprocess.run(
        ["ruby", "-e", prelude + code, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


REFUSED = """
  load ARGV[0]
  register({})
  ENV["SHIPPER_NOW"] = "2026-11-22T06:00:00Z"
  event = LogStash::Event.new("@timestamp" => "2026-11-22T05:00:00.000Z", "message" => "m",
                              "service" => {"name" => "a"}, "log" => {"file" => {"path" => "/x/a.ecs.log"},
                              "offset" => 5})
  event.set("[@metadata][index]", "christmas-logs-a-2026.11.22")
  event.set("[@metadata][id]", "01KAN5M3YVJ4Q2X7W8Z9ABCDEF")
  event.set("[@metadata][dead_letter_queue][reason]", "Could not index: action: [m], response: bad kim@example.com")
  letter, = filter(event)
  puts JSON.generate([letter.get("[@metadata][index]"), letter.get("[@metadata][id]"), letter.to_hash])
"""


def test_a_refused_document_becomes_a_dead_letter() -> None:
    index, letter, document = ruby(REFUSED, str(SCRIPTS / "dead_letter.rb"))
    assert index == "christmas-dead-letters-2026.11.22"
    assert letter == document["event"]["id"] == ruby(REFUSED, str(SCRIPTS / "dead_letter.rb"))[1]
    assert document["christmas"]["dead_letter"] == {"reason": "mapping", "index": "christmas-logs-a-2026.11.22"}
    assert document["error"]["message"] == "bad ***.com"
    assert json.loads(document["message"])["message"] == "m"
    assert document["log"] == {"file": {"path": "/x/a.ecs.log"}, "offset": 5}


FAULT = """
  load ARGV[0]
  register({})
  def logger; @logger ||= Class.new { def error(*) = nil }.new; end
  def @pipeline.process(*) = raise("kim@example.com")
  event = LogStash::Event.new("message" => "password=hunter2", "log" => {"file" => {"path" => "/x/a.ecs.log"}})
  letter, = filter(event)
  puts JSON.generate([letter.get("[@metadata][index]"), letter.to_hash])
"""


def test_a_fault_of_the_script_never_lets_the_raw_line_through() -> None:
    index, document = ruby(FAULT, str(SCRIPTS / "normalize.rb"))
    assert index.startswith("christmas-dead-letters-")
    assert document["christmas"]["dead_letter"]["reason"] == "script_error"
    assert document["message"] == "not shown, because masking it may have failed: RuntimeError"


def test_pretests_are_no_stricter_than_pythons() -> None:
    patterns = [pattern for rule in masking_rules() for pattern in rule.patterns]
    code = """
      require ARGV[0]
      found = JSON.parse(ARGV[1]).map do |pattern|
        test = Shipper::Pretest.new(pattern)
        %i[@numeric @capital @texts].map { |name| test.instance_variable_get(name) }
      end
      puts JSON.generate(found)
    """
    found = ruby(code, str(SCRIPTS / "shipper" / "pretest.rb"), json.dumps(patterns))
    for pattern, (numeric, capital, texts) in zip(patterns, found, strict=True):
        ours = needs(pattern)
        assert numeric <= ours.numeric, pattern
        assert capital <= ours.capital, pattern
        known = {frozenset(group) for group in ours.texts}
        assert {frozenset(choices) for choices in texts} <= known, pattern
        assert numeric or capital or texts, f"{pattern}: no pretest was found, so every text meets it"


def test_rules_of_ones_own_come_first_or_take_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    rules = [
        {"name": "room", "action": "drop", "keys": ["room"]},
        {"name": "email", "action": "drop", "keys": ["email"]},
    ]
    (tmp_path / "own.yml").write_text(json.dumps({"rules": rules}))
    code = """
      require ARGV[0]
      rules = Shipper::Contract.new("masking_file" => ARGV[1]).rules
      puts JSON.generate(rules.map { |rule| rule.slice("name", "action") })
    """
    found = ruby(code, str(SCRIPTS / "shipper" / "contract.rb"), str(tmp_path / "own.yml"))
    ours = [{"name": rule.name, "action": rule.action} for rule in own_rules(tmp_path / "own.yml")]
    assert found == ours
    assert found[0] == {"name": "room", "action": "drop"} and {"name": "email", "action": "drop"} in found


@pytest.mark.parametrize("params", [{"contract": "/nowhere"}, {"hash_key_file": "short"}])
def test_a_wrong_parameter_stops_the_start(params: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "short").write_text("x")
    given = {name: str(tmp_path / value) if value == "short" else value for name, value in params.items()}
    code = "load ARGV[0]; begin; register(JSON.parse(ARGV[1])); rescue => e; puts JSON.generate(e.message); end"
    message = ruby(code, str(SCRIPTS / "normalize.rb"), json.dumps(given))
    assert "/nowhere" in message or "16" in message
