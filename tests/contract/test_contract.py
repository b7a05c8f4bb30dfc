"""The contract's data keeps its own rules: names lead to fields, types are known, patterns are in the shared syntax."""

import json
import re
import re._parser as parser
from pathlib import Path
from typing import Any

import pytest

from python_shipper.contract import contract, deployed, masking_rules, own_rules
from python_shipper.core.checks import CHECKS
from python_shipper.core.masking import Masker, words

PATTERNS = [
    pytest.param(pattern, id=f"{rule.name}-{n}") for rule in masking_rules() for n, pattern in enumerate(rule.patterns)
]
UNBOUNDED = parser.MAXREPEAT


def test_short_names_lead_to_fields() -> None:
    fields = contract().fields
    assert {name for name, short in contract().short_names.items() if short.field not in fields} == set()
    assert {short.field for short in contract().short_names.values() if short.scale != 1} == {"event.duration"}


def test_no_field_lies_inside_another() -> None:
    fields = contract().fields
    inside = [path for path in fields for other in fields if path.startswith(other + ".")]
    # labels and christmas.extra are objects themselves; nothing may be declared below them either.
    assert inside == []


def test_machine_written_fields_are_never_masked() -> None:
    for path in ("trace.id", "span.id", "event.id", "user.id", "christmas.order.id", "service.name", "log.level"):
        assert contract().fields[path].exempt, path
    for path in ("message", "error.message", "error.stack_trace", "labels", "christmas.extra", "user.email"):
        assert not contract().fields[path].exempt, path


def test_the_mapping_has_the_fields_of_the_contract_and_no_others() -> None:
    mapped: dict[str, str] = {}
    for name in ("christmas-ecs", "christmas-fields"):
        template = json.loads((deployed("elasticsearch") / "component_templates" / f"{name}.json").read_text())
        mapped |= leaves(template["template"]["mappings"]["properties"])
    assert mapped == {path: field.type for path, field in contract().fields.items()}


def leaves(properties: dict[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, spec in properties.items():
        here = f"{path}.{name}" if path else name
        found |= leaves(spec["properties"], here) if "properties" in spec else {here: spec["type"]}
    return found


def test_rules_are_complete() -> None:
    names = [rule.name for rule in masking_rules()]
    assert len(names) == len(set(names))
    for rule in masking_rules():
        assert rule.action in ("mask", "hash", "drop")
        assert rule.check is None or rule.check in CHECKS
        assert rule.keys or rule.patterns
        assert [key for key in rule.keys if words(key) != key] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_keeps_to_the_syntax_that_python_and_ruby_share(pattern: str) -> None:
    assert re.search(r"\\[dDwWsSbBAZzhHRkgpPGX0-9]", pattern) is None, "a class or anchor that the two read differently"
    assert not re.search(r"(?<!\\)[$^]", re.sub(r"\[\^", "[", pattern)), "an anchor: Ruby's are of a line"
    assert re.search(r"(?<!\\)\(\?(?!:|=|!|<=|<!)", pattern) is None, "an inline flag, a name or an atomic group"
    assert re.search(r"(?<!\\)\[[^\]]*\[", pattern) is None, "a set in a set"
    assert re.search(r"(?<!\\)\[[^\]]*&&", pattern) is None, "an intersection, in Ruby"
    assert re.compile(pattern).groups <= 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_has_no_nested_or_endless_repetition(pattern: str) -> None:
    tree = parser.parse(pattern)
    assert repetitions(tree) == [], "a repetition inside of a repetition can take exponential time"


def repetitions(tree: Any, inside: bool = False) -> list[Any]:
    """Repetitions of variable length within another one that repeats more than a few times."""
    wrong = []
    for op, value in tree:
        if str(op) in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, body = value
            variable = most == UNBOUNDED or most - least > 1
            if inside and variable:
                wrong.append((least, most))
            wrong += repetitions(body, inside or variable)
        elif str(op) == "SUBPATTERN":
            wrong += repetitions(value[3], inside)
        elif str(op) == "BRANCH":
            for body in value[1]:
                wrong += repetitions(body, inside)
    return wrong


def test_the_syntax_test_finds_what_it_looks_for() -> None:
    assert repetitions(parser.parse("(?:a{1,9}b){1,9}")) != []
    assert repetitions(parser.parse("(?:a+)+")) != []
    assert repetitions(parser.parse("(?:ab)+c{1,9}")) == []


OWN = """
rules:
  - {name: email, action: drop, keys: [email]}
  - {name: badge, action: mask, patterns: ['badge-([0-9]{6,9})']}
"""


def test_own_rules_replace_shipped_ones_of_their_name_and_come_first(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(OWN)
    rules = own_rules(tmp_path / "own.yml")
    assert [rule.name for rule in rules] == ["badge", *(rule.name for rule in masking_rules())]
    masker = Masker(rules, contract(), None)
    assert masker.value("email", "kim") == "[dropped]"
    assert masker.text("badge-12345678 of kim@example.com") == "badge-***5678 of kim@example.com"
