"""Rules files: what a good one means, and of bad ones, one fault each, what is said."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from python_shipper.alerts.rulesfile import load_rules
from python_shipper.errors import ConfigurationError

GOOD = """
routes:
  team: {type: slack, url: "${SLACK_URL}"}
  ops: {type: webhook, url: "https://ops.example.com/in", headers: {Authorization: "Bearer ${OPS_TOKEN}", X-Team: a}}
  mail:
    type: email
    host: ${MAIL_HOST:-mail.example.com}
    from: shipper@example.com
    to: [ops@example.com]
    user: shipper
    password: ${MAIL_PASSWORD}
quiet_hours:
  night: {from: 22:00, to: "07:00", zone: Asia/Seoul, days: [mon, tue], lets_through: critical}
rules:
  - name: orders
    match: {kind: [high_*, slow_response], service: orders*, severity: error, labels: {exchange: krx*}}
    routes: [team, mail]
    severity: critical
    key: [service, labels.exchange]
    cool_down: 1h
    group: {wait: 30s, by: [kind]}
    quiet_hours: night
    resolve: false
  - name: rest
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", "https://hooks.example.com/T0/B0/x")
    monkeypatch.setenv("OPS_TOKEN", "t0ken")
    monkeypatch.setenv("MAIL_PASSWORD", "pa$$")
    monkeypatch.delenv("NOT_SET", raising=False)


def told(tmp_path: Path, text: str) -> str:
    path = tmp_path / "alerts.yml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_rules(path)
    words = str(caught.value)
    assert "\n" not in words
    assert words.startswith(f"{path}: ")
    return words.removeprefix(f"{path}: ")


def test_every_key_of_a_good_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(GOOD)
    rules = load_rules(path)
    orders, rest = rules.rules
    assert rules.routes["team"].options["url"] == "https://hooks.example.com/T0/B0/x"
    assert rules.routes["ops"].options["headers"] == {"Authorization": "Bearer t0ken", "X-Team": "a"}
    assert (rules.routes["mail"].options["host"], rules.routes["mail"].options["password"]) == (
        "mail.example.com",
        "pa$$",
    )
    assert (orders.match.kind, orders.match.service, orders.match.severity) == (
        ("high_*", "slow_response"),
        ("orders*",),
        "error",
    )
    assert (orders.severity, orders.key, orders.cool_down_seconds, orders.resolve) == (
        "critical",
        ("service", "labels.exchange"),
        3600.0,
        False,
    )
    assert (orders.group.wait_seconds, orders.group.by) == (30.0, ("kind",))
    assert orders.quiet_hours is not None
    assert (orders.quiet_hours.begin.hour, orders.quiet_hours.end.hour, str(orders.quiet_hours.zone)) == (
        22,
        7,
        "Asia/Seoul",
    )
    assert (rest.routes, rest.cool_down_seconds, rest.resolve, rest.match.severity) == ((), 900.0, True, "info")


def test_the_documented_file_and_code_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    ((rules, code),) = re.findall(r"^```yaml\n(.*?)^```.*^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "alerts.yml").write_text(rules)
    for name in ("SLACK_WEBHOOK", "PAGER_TOKEN", "SMTP_PASSWORD"):
        monkeypatch.setenv(name, "https://hooks.example.com/x")
    assert [rule.name for rule in load_rules(tmp_path / "alerts.yml").rules] == ["orders-fail", "everything-else"]
    for name in ("ALERTS_FILE", "DATA_DIR"):  # nobody is to be told, and the outbox is below this folder
        monkeypatch.delenv(name, raising=False)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=tmp_path, timeout=120)
    assert (tmp_path / "data" / "alerts" / "alerts.sqlite3").exists()


def test_recipients_are_a_list_or_a_text_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "c@d.kr, e@f.kr")
    path = tmp_path / "alerts.yml"
    for to, expected in (
        ("c@d.kr", ("c@d.kr",)),
        ("[c@d.kr, e@f.kr]", ("c@d.kr", "e@f.kr")),
        ("'c@d.kr, e@f.kr,'", ("c@d.kr", "e@f.kr")),
        ("'${TEAM}'", ("c@d.kr", "e@f.kr")),
        ("['${TEAM}', g@h.kr]", ("c@d.kr", "e@f.kr", "g@h.kr")),
    ):
        path.write_text(f"routes: {{a: {{type: email, host: h, from: a@b.kr, to: {to}}}}}\nrules: []")
        assert load_rules(path).routes["a"].options["to"] == expected


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(GOOD)
    assert "pa$$" not in repr(load_rules(path)) and "T0/B0" not in repr(load_rules(path))


def test_the_shipped_rules_send_nothing() -> None:
    rules = load_rules(None)
    assert rules.routes == {} and [rule.name for rule in rules.rules] == ["everything"]


SLACK = 'routes: {a: {type: slack, url: "${SLACK_URL}"}}\n'
MAIL = "type: email, host: h, from: a@b.kr, to: [c@d.kr]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [", "is not valid YAML"),
        ("", "the file: expected a mapping with the key rules, got nothing"),
        ("rule: []", "rule: expected one of routes, quiet_hours, rules"),
        ("routes: {}", "rules: expected a list"),
        ("rules: {name: a}", "rules: expected a list"),
        ("rules: [a]", "rules[0]: expected a mapping with the key name, got 'a'"),
        ("rules: [{}]", "rules[0].name: expected a name"),
        ("rules: [{name: a b}]", "rules[0].name: expected a name"),
        ("rules: [{name: a}, {name: a}]", "rules[1].name: expected a name that no other rule has"),
        ("rules: [{name: a, when: x}]", "rules[0].when: expected one of name, match"),
        ("rules: [{name: a, cool_down: soon}]", "rules[0].cool_down: expected a duration such as 90s"),
        ("rules: [{name: a, cool_down: true}]", "rules[0].cool_down: expected a duration"),
        ("rules: [{name: a, severity: bad}]", "rules[0].severity: expected one of info, warning, error, critical"),
        ("rules: [{name: a, key: [host]}]", "rules[0].key: expected a list of kind, service, operation"),
        ("rules: [{name: a, resolve: maybe}]", "rules[0].resolve: expected true or false"),
        ("rules: [{name: a, match: orders}]", "rules[0].match: expected a mapping"),
        ("rules: [{name: a, match: {servise: x}}]", "rules[0].match.servise: expected one of kind, service"),
        ("rules: [{name: a, match: {service: 5}}]", "rules[0].match.service: expected a pattern"),
        ("rules: [{name: a, group: {by: [kind]}}]", "rules[0].group.wait: expected a duration"),
        ("rules: [{name: a, routes: [x]}]", "rules[0].routes[0]: expected one of the section routes, which is empty"),
        (SLACK + "rules: [{name: a, routes: [x]}]", "rules[0].routes[0]: expected one of a, got 'x'"),
        ("rules: [{name: a, quiet_hours: x}]", "rules[0].quiet_hours: expected one of the section quiet_hours"),
        ("quiet_hours: {n: {from: '25:00', to: '7:00', zone: UTC}}\nrules: []", "quiet_hours.n.from: expected a time"),
        ("quiet_hours: {n: {from: '2:00', to: '7:00', zone: Moon}}\nrules: []", "quiet_hours.n.zone: expected a time"),
        ("quiet_hours: {n: {from: '2:00', to: '7:00'}}\nrules: []", "quiet_hours.n.zone: expected a time zone"),
        ("routes: {a: {type: pager}}\nrules: []", "routes.a.type: expected one of slack, webhook, email, got 'pager'"),
        ("routes: {a: slack}\nrules: []", "routes.a: expected one of slack, webhook, email"),
        ("routes: {a/b: {type: slack}}\nrules: []", "routes.a/b: expected a name"),
        ('routes: {a: {type: slack, url: "https://x/y"}}\nrules: []', "routes.a.url: expected a variable that holds"),
        ("routes: {a: {type: slack, url: '${NOT_SET}'}}\nrules: []", "routes.a.url: the variable NOT_SET is not set"),
        ("routes: {a: {type: slack, url: '${OPS_TOKEN}'}}\nrules: []", "routes.a.url: expected an https address"),
        ("routes: {a: {type: webhook, url: 'http://x/y'}}\nrules: []", "routes.a.url: expected an https address"),
        ("routes: {a: {type: webhook, url: 'https://u:p@x/y'}}\nrules: []", "routes.a.url: expected an https address"),
        (
            "routes: {a: {type: webhook, url: 'https://x/y', headers: {Authorization: Bearer x}}}\nrules: []",
            "routes.a.headers.Authorization: expected a variable that holds it",
        ),
        (
            "routes: {a: {type: webhook, url: 'https://x/y', headers: {'a b': x}}}\nrules: []",
            "routes.a.headers.a b: expected an HTTP header",
        ),
        (f"routes: {{a: {{{MAIL}, port: 0}}}}\nrules: []", "routes.a.port: expected a port"),
        (f"routes: {{a: {{{MAIL}, user: u}}}}\nrules: []", "routes.a.password: expected user and password, or neither"),
        (f"routes: {{a: {{{MAIL}, user: u, password: p}}}}\nrules: []", "routes.a.password: expected a variable"),
        (
            f"routes: {{a: {{{MAIL}, user: u, password: '${{OPS_TOKEN}}', tls: none}}}}\nrules: []",
            "routes.a.tls: expected starttls or implicit",
        ),
        (f"routes: {{a: {{{MAIL.replace('c@d.kr', 'c')}}}}}\nrules: []", "routes.a.to: expected e-mail addresses"),
        (f"routes: {{a: {{{MAIL.replace('[c@d.kr]', 'c@d.kr d@e.kr')}}}}}\nrules: []", "routes.a.to: expected e-mail"),
        (f"routes: {{a: {{{MAIL.replace('a@b.kr', 'a')}}}}}\nrules: []", "routes.a.from: expected an e-mail address"),
        (f"routes: {{a: {{{MAIL}, timeout: 0s}}}}\nrules: []", "routes.a.timeout: expected a duration such as 90s"),
        (f"routes: {{a: {{{MAIL}, ca: /none.pem}}}}\nrules: []", "routes.a.ca: expected the path of a PEM file"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, words: str) -> None:
    assert told(tmp_path, text).startswith(words)


def test_what_a_secret_variable_holds_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_TOKEN", "not an address: t0ken")
    said = told(tmp_path, "routes: {a: {type: slack, url: '${OPS_TOKEN}'}}\nrules: []")
    assert "t0ken" not in said and "what its variable holds" in said


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"^/none/alerts.yml: cannot be read: .*; see ALERTS_FILE$"):
        load_rules(Path("/none/alerts.yml"))
