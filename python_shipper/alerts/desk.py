"""Where findings arrive: each is held against every rule, kept, and told by the rules' routes when it is time.

``handle`` writes to the outbox and returns; threads of their own do all that waits for a network.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from typing import Any

from python_shipper.alerts import routes
from python_shipper.alerts.answer import Answer
from python_shipper.alerts.notice import OPEN, RESOLVED, Item, Notification, item_of, trace_link
from python_shipper.alerts.outbox import FAILED, MOST_WAITING, SENT, Delivery, Outbox
from python_shipper.alerts.rules import Route, Rule, Rules
from python_shipper.alerts.rulesfile import load_rules
from python_shipper.alerts.sender import GIVE_UP_SECONDS, Sender
from python_shipper.alerts.state import Alert, end_to_tell, to_tell, worse_than_told
from python_shipper.analyzers import Finding
from python_shipper.core.clock import now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.settings import Settings

HOUSE_SECONDS = 1.0
CLEAN_SECONDS = 600.0
FORGET_SECONDS = 7 * 86_400.0  # an alert of which nothing more was heard
MOST_UNWRITTEN = 1_000  # findings kept in memory while the outbox cannot be written
QUIET_SECONDS = 60.0
STOP_SECONDS = 5.0
HELD_BACK = "state = ? AND (told_severity IS NULL AND acked_ms IS NULL OR told_severity != severity)"
FULL, UNWRITTEN = "outbox full", "outbox not written"

log = logging.getLogger(__name__)


class Alerts:
    """Rules, outbox and senders of a process. Open it after a fork, not before."""

    def __init__(self, settings: Settings, rules: Rules, outbox: Outbox) -> None:
        self.settings, self.rules, self.outbox = settings, rules, outbox
        self.senders = [Sender(outbox, route, self.attempt) for route in rules.routes.values()]
        self.unwritten: deque[Finding] = deque()
        self.lost = 0  # findings of this process that were kept nowhere
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None
        self.next_word: dict[str, float] = {}

    @classmethod
    def open(cls, settings: Settings | None = None) -> Alerts:
        """The alerts of ``settings`` (default: the environment's): rules of ALERTS_FILE, outbox in DATA_DIR.

        Raises:
            ConfigurationError: the rules file is wrong; the message names file, key and what was expected.
            StoreError: the outbox cannot be opened.
        """
        settings = settings or Settings.from_environment()
        rules = load_rules(settings.alerts_file)
        return cls(settings, rules, Outbox(settings.data_dir / "alerts"))

    def handle(self, finding: Finding) -> bool:
        """Take a finding: never raises, never waits for a network; returns whether it is on disk or needs not be.

        One that cannot be written now is kept in memory (1,000 of them) and written when that works again.
        """
        try:
            rules = [rule for rule in self.rules.rules if rule.match.fits(finding)]
            if not rules:
                return True
            if self.unwritten:
                self.set_aside(finding)  # after those that wait, so that an end does not come before its beginning
                return False
            self.take(finding, rules)
        except (OSError, sqlite3.Error) as error:
            self.set_aside(finding)
            self.say(UNWRITTEN, f"{self.outbox.path}: {error}; {len(self.unwritten)} finding(s) wait in memory")
            return False
        except Exception as error:
            self.lost += 1
            self.say("unexpected", f"a finding could not be handled: {error!r}")
            return False
        return True

    def take(self, finding: Finding, rules: list[Rule]) -> None:
        """Hold a finding against ``rules``, in one transaction.

        Raises:
            sqlite3.Error: the outbox cannot be written; nothing was.
        """
        now = now_ms()
        with self.outbox.transaction():
            for rule in rules:
                self.end(rule, finding, now) if finding.resolved else self.begin(rule, finding, now)
        self.wake()

    def begin(self, rule: Rule, finding: Finding, now: int) -> None:
        """A finding opens an alert, or is one more of an open one."""
        alert = self.outbox.alert(rule.id_of(finding))
        if alert is None and not self.outbox.room_for_alert():
            self.refuse("alerts")
            return
        first = finding.at_ms if alert is None or alert.state == RESOLVED else alert.first_ms
        item = item_of(rule, finding, first_ms=first, count=0, held=0)
        alert = alert or Alert(id=item["alert"], rule=rule.name, key=item["key"])
        alert.found(finding.at_ms, item["severity"])
        item["count"], place = alert.count, rule.group_of(finding)
        if to_tell(alert, rule, now, silenced=self.silenced(alert, now)):
            self.tell(alert, rule, item, place, now)
        self.outbox.keep(alert, item, place)

    def end(self, rule: Rule, finding: Finding, now: int) -> None:
        """The end of a finding ends its alert."""
        alert = self.outbox.alert(rule.id_of(finding))
        if alert is None or alert.state == RESOLVED:
            return
        item = item_of(rule, finding, first_ms=alert.first_ms, count=alert.count, held=0)
        place = rule.group_of(finding)
        if end_to_tell(alert, rule, silenced=self.silenced(alert, now)) and self.room(rule):
            self.put(rule, item | {"severity": alert.severity}, place, now)
        alert.state, alert.last_ms = RESOLVED, finding.at_ms
        self.outbox.keep(alert, item, place)

    def tell(self, alert: Alert, rule: Rule, item: Item, place: str, now: int) -> None:
        """Put a notification of an opening into the outbox; where there is no room it stays untold, and is later."""
        if self.room(rule):
            item["held"] = alert.held - 1  # all but the finding that the notification shows
            self.put(rule, item, place, now)
            alert.told(now)

    def put(self, rule: Rule, item: Item, place: str, now: int) -> None:
        """A notification for each of the rule's routes."""
        for route in rule.routes:
            self.outbox.add(route, rule.name, place, item, now, rule.due_ms(now, item["severity"]))

    def room(self, rule: Rule) -> bool:
        """Whether the outbox takes a notification for each of the rule's routes."""
        if not rule.routes or self.outbox.waiting() + len(rule.routes) <= MOST_WAITING:
            return True
        self.refuse("notifications")
        return False

    def refuse(self, what: str) -> None:
        """Count what a full outbox did not take, and say so."""
        self.outbox.count(f"refused_{what}")
        self.say(FULL, f"{self.outbox.path} is full of {what}; see shipper alerts list")

    def silenced(self, alert: Alert, now: int) -> bool:
        """Whether a silence fits the alert."""
        return any(silence.fits(alert.key) for silence in self.outbox.silences(now))

    # what time brings

    def start(self) -> None:
        """Start a thread for each route, and one that keeps house."""
        self.thread = threading.Thread(target=self.run, name="shipper-alerts", daemon=True)
        for thread in (self.thread, *(sender.thread for sender in self.senders)):
            thread.start()

    def stop(self) -> None:
        """Let what is under way end, five seconds at the most; what waits goes out after the next start."""
        self.stopping.set()
        for sender in self.senders:
            sender.stopping.set()
            sender.wake.set()
        deadline = time.monotonic() + STOP_SECONDS
        threads = [thread for thread in (self.thread, *(sender.thread for sender in self.senders)) if thread]
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self.write_waiting()
        if not any(thread.is_alive() for thread in threads):
            self.outbox.close()

    def run(self) -> None:
        """Once a second look for what time has made due."""
        cleaned = float("-inf")
        while not self.stopping.wait(HOUSE_SECONDS):
            try:
                self.write_waiting()
                self.tell_untold()
                if time.monotonic() - cleaned > CLEAN_SECONDS:
                    cleaned = time.monotonic()
                    self.clean()
            except (OSError, sqlite3.Error) as error:
                self.say(UNWRITTEN, f"{self.outbox.path}: {error}; it is tried again")
            except Exception as error:
                self.say("unexpected", f"keeping house failed: {error!r}")

    def tell_untold(self) -> None:
        """Tell of open alerts that a cool-down, a silence or a full outbox held back, and no longer does."""
        now = now_ms()
        for found in self.outbox.alerts_where(HELD_BACK, OPEN):
            rule = self.rules.named(found.rule)
            if rule is None or not self.due(found, rule, now):
                continue
            if self.outbox.waiting() + len(rule.routes) > MOST_WAITING:
                continue
            with self.outbox.transaction():
                alert = self.outbox.alert(found.id)
                if alert and self.due(alert, rule, now):  # nobody has told it meanwhile
                    item, place = self.outbox.content_of(alert.id)
                    self.tell(alert, rule, item, place, now)
                    self.outbox.keep(alert, item, place)
                    self.wake()

    def due(self, alert: Alert, rule: Rule, now: int) -> bool:
        """Whether an alert that was held back is to be told now."""
        return worse_than_told(alert) and to_tell(alert, rule, now, silenced=self.silenced(alert, now))

    def clean(self) -> None:
        """Give up what is too old, also for routes that no longer exist; forget what nobody asks for."""
        now = now_ms()
        if given_up := self.outbox.give_up(now - round(2 * GIVE_UP_SECONDS * 1000)):
            log.error("%d notification(s) are given up: no route took them within two days", given_up)
        self.outbox.keep_house(now - round(FORGET_SECONDS * 1000))

    def set_aside(self, finding: Finding) -> None:
        """Keep a finding in memory until the outbox can be written."""
        if len(self.unwritten) < MOST_UNWRITTEN:
            self.unwritten.append(finding)
        else:
            self.lost += 1
            self.say("lost", f"{self.lost} finding(s) lost: {self.outbox.path} cannot be written")

    def write_waiting(self) -> None:
        """Write what waits in memory, in its order; of findings that came meanwhile, those too."""
        try:
            while self.unwritten:
                finding = self.unwritten[0]
                self.take(finding, [rule for rule in self.rules.rules if rule.match.fits(finding)])
                self.unwritten.popleft()
        except (OSError, sqlite3.Error) as error:
            self.say(UNWRITTEN, f"{self.outbox.path}: {error}; {len(self.unwritten)} finding(s) wait in memory")

    def wake(self) -> None:
        """Let senders look."""
        for sender in self.senders:
            sender.wake.set()

    def say(self, what: str, words: str) -> None:
        """Log an error, each kind once a minute at the most."""
        if time.monotonic() >= self.next_word.get(what, 0.0):
            self.next_word[what] = time.monotonic() + QUIET_SECONDS
            log.error("alerts: %s", words)

    def attempt(self, route: Route, delivery: Delivery) -> Answer:
        """Send a delivery once."""
        return routes.send(route, notification(self.settings, delivery))

    def status(self) -> dict[str, Any]:
        """How it is doing: open alerts, notifications by what became of them, and each route's last failure.

        Raises:
            sqlite3.Error: the outbox cannot be read.
        """
        counts = self.outbox.counts()
        return {
            "open": self.outbox.number("SELECT count(*) FROM alerts WHERE state = ?", OPEN),
            "waiting": self.outbox.waiting(),
            "sent_total": counts.get(SENT, 0),
            "failed_total": counts.get(FAILED, 0),
            "refused_notifications_total": counts.get("refused_notifications", 0),
            "refused_alerts_total": counts.get("refused_alerts", 0),
            "lost_total": self.lost,
            "unwritten": len(self.unwritten),
            "routes": {sender.route.name: sender.failing or "fine" for sender in self.senders},
        }


def notification(settings: Settings, delivery: Delivery) -> Notification:
    """A delivery's content, with links to the traces that it names."""
    traces = {trace for item in delivery.items for trace in item["traces"]}
    return Notification(
        id=delivery.id,
        rule=delivery.rule,
        items=delivery.items,
        more=delivery.more,
        traces={trace: trace_link(settings, trace) for trace in traces},
    )


def try_route(settings: Settings, route: Route) -> Answer:
    """Send a test notification by ``route`` here and now, past rules and outbox; what the far side answered."""
    now = now_ms()
    finding = Finding(kind="test", severity="info", message="A test: this route can be reached.", at_ms=now)
    item = item_of(Rule(name="test"), finding, first_ms=now, count=1, held=0)
    return routes.send(route, Notification(id=new_ulid(now), rule="test", items=[item]))
