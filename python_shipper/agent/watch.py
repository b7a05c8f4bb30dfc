"""Wakes the agent when files come and go, so that a quick rotation is seen before its segments are deleted.

inotify, through watchdog, reports what is created, renamed and deleted; writing is not reported, since 5,000 events a
second cost more than looking at the open files ten times a second. Where inotify cannot be had (its watches are used
up, a network file system) the periodic scan alone finds everything, only later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

log = logging.getLogger(__name__)


class Watch(FileSystemEventHandler):
    """Waits for changes in folders; ``changed`` is set by one, and cleared by whoever looks."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.changed = threading.Event()
        self.observer = Observer()
        self.watching = False
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                self.observer.schedule(
                    self, str(folder), event_filter=[FileCreatedEvent, FileMovedEvent, FileDeletedEvent]
                )
            self.observer.start()
            self.watching = True
        except OSError as error:
            log.warning(
                "inotify cannot be used (%s): new and renamed files are found by looking, a second later", error
            )

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake the agent; called by watchdog in its own thread."""
        self.changed.set()

    def close(self) -> None:
        """Stop watching."""
        if self.watching:
            self.observer.stop()
            self.observer.join()
