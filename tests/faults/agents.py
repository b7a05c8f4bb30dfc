"""Starts agents for the fault tests: reads settings as JSON, then forks one agent for each line of its input.

A fork of a process that has imported everything starts in some ten milliseconds, so that hundreds can be killed. The
faults are put in here, by subclasses and wrappers, never in the product.
"""

import faulthandler
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from python_shipper.agent import agent as agents
from python_shipper.agent.agent import Agent
from python_shipper.agent.ingest import Ingest
from python_shipper.settings import Settings
from python_shipper.store import writer


class DiesBeforeCheckpoint(Ingest):
    """Killed after a store's commit, before the checkpoint."""

    def commit(self) -> None:
        self.writer.commit()
        if self.stored and random.random() < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        super().commit()


def die_between_days() -> None:
    """Killed while some days are committed and others not."""
    commit_day = writer.Writer.commit_day

    def commit(self: writer.Writer, opened: writer.OpenDay) -> None:
        commit_day(self, opened)
        if random.random() < 0.4:
            os.kill(os.getpid(), signal.SIGKILL)

    writer.Writer.commit_day = commit


def follow(clock: Path) -> None:
    """The clock that a test moves."""

    def run() -> None:
        while True:
            os.environ["SHIPPER_NOW"] = clock.read_text()
            time.sleep(0.01)

    os.environ["SHIPPER_NOW"] = clock.read_text()
    threading.Thread(target=run, daemon=True).start()


def prepare(fault: str) -> None:
    if fault == "before-checkpoint":
        agents.Ingest = DiesBeforeCheckpoint
    elif fault == "between-days":
        die_between_days()
    elif fault.startswith("now="):
        os.environ["SHIPPER_NOW"] = fault.removeprefix("now=")
    elif fault.startswith("clock="):
        follow(Path(fault.removeprefix("clock=")))


def serve(settings: Settings, fault: str) -> None:
    """Run one agent until SIGTERM."""
    prepare(fault)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    agent = Agent(settings)
    agent.start()
    signal.sigwait({signal.SIGTERM})
    agent.stop()
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    given = {name: Path(value) for name, value in json.loads(sys.argv[1]).items()}
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                serve(Settings(**given), line.strip())
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(2)
        print(pid, flush=True)


main()
