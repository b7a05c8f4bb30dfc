"""Follows an ad request from its arrival to what came of it: a line for each step, and the way back from the store."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from python_shipper.ads.events import CLICK, CONVERSION, IMPRESSION
from python_shipper.ads.given import fields_in, items_in
from python_shipper.ads.journey import Funnel, Journey, find_journey, funnel
from python_shipper.collectors.event import EventCollector, EventKind
from python_shipper.core.clock import now_ms
from python_shipper.core.config import active
from python_shipper.core.logger import LoggerLike, as_logger
from python_shipper.core.plain import safe_text
from python_shipper.store import Store, open_store
from python_shipper.store.logs import moment

AD_REQUEST = EventKind("ad_request", "ad requested", type="start")
AD_SELECTION = EventKind("ad_selection", "ad selected")
ID_CHARACTERS = 16
ADS_NAMED = 100  # of the ads that a request could choose from; all are counted
Ad = str | Mapping[str, Any]


class AdRequestTracker:
    """Writes the steps of ad requests, and reads them back from the store that the settings point at.

    Nothing is kept in memory: steps may be written by different processes, and journeys are there after a restart, as
    soon as the store has indexed their lines. The steps never raise; reading does where there is no store to read.
    """

    def __init__(self, logger: LoggerLike = "ad_system.requests", store: Store | None = None) -> None:
        """Write to ``logger``; read from ``store``, or from that of the settings, opened when first needed."""
        self._log = as_logger(logger)
        self._events = EventCollector(self._log)
        self._store = store
        self._opening = threading.Lock()
        self._numbers = itertools.count()

    @staticmethod
    def generate_request_id(user_id: str, timestamp: object) -> str:
        """16 hex digits of the SHA-256 of user and time: the same for the same."""
        text = f"{safe_text(user_id)}:{safe_text(timestamp)}".encode("utf-8", "replace")
        return hashlib.sha256(text).hexdigest()[:ID_CHARACTERS]

    def track_ad_request(
        self,
        user_id: str,
        user_context: Mapping[str, Any] | None = None,
        available_ads: Iterable[Ad] | None = None,
        *,
        request_id: str | None = None,
        **fields: Any,
    ) -> str:
        """An ad is asked for; gives the request's id, which the following steps take.

        ``user_id`` is an identifier and stays; ``user_context`` is masked by the names and contents in it. An id that
        the request has already is kept with ``request_id``.
        """
        # Two requests of one user in the same moment, of two forked workers even, are two.
        moment_of_its_own = f"{time.time_ns()}-{os.getpid()}-{next(self._numbers)}"
        request_id = request_id or self.generate_request_id(user_id, moment_of_its_own)
        ads = [ad_fields(ad).get("ad_id") for ad in items_in(available_ads)]
        context = fields_in(user_context, "given")
        given = {"user_context": context, "available_ads": ads[:ADS_NAMED], "ads_available": len(ads)}
        self._step(AD_REQUEST, request_id, {**fields, **given, "user_id": user_id})
        return request_id

    def track_ad_selection(
        self, request_id: str, selected_ad: Ad, selection_reason: str | None = None, **fields: Any
    ) -> None:
        """An ad was chosen: its id, or a mapping with ``ad_id`` and what else belongs to it."""
        self._step(AD_SELECTION, request_id, {**fields, **ad_fields(selected_ad), "selection_reason": selection_reason})

    def track_ad_impression(self, request_id: str, ad_id: str | None = None, **fields: Any) -> None:
        """The ad was shown."""
        self._step(IMPRESSION, request_id, {**fields, "ad_id": ad_id})

    def track_ad_click(
        self, request_id: str, ad_id: str | None = None, click_position: int | None = None, **fields: Any
    ) -> None:
        """The ad was clicked; ``click_position`` is its place on the page, from 1."""
        self._step(CLICK, request_id, {**fields, "ad_id": ad_id, "click_position": click_position})

    def track_conversion(
        self,
        request_id: str,
        ad_id: str | None = None,
        conversion_value: float | None = None,
        conversion_type: str | None = None,
        **fields: Any,
    ) -> None:
        """The click led to what it was for; ``conversion_value`` is in the campaign's currency."""
        worth = {"conversion_value": conversion_value, "conversion_type": conversion_type}
        self._step(CONVERSION, request_id, {**fields, **worth, "ad_id": ad_id})

    def get_request_journey(self, request_id: str) -> Journey | None:
        """Each step with its time, what lies between them, and the outcome; an unknown id is warned of, and None.

        Raises:
            ConfigurationError: the store's packages are not installed, or a setting is wrong.
            StoreError: the store cannot be read.
        """
        journey = find_journey(self._opened(), safe_text(request_id))
        if journey is None:
            self._log.log(30, "no step of this ad request is in the log store", request_id=request_id)
        return journey

    def get_funnel(self, since: str | None = None, until: str | None = None) -> Funnel:
        """How many requests reached each step; ``since`` and ``until`` are spans (``24h``) or ISO 8601 times.

        Raises:
            ConfigurationError: the store's packages are not installed, or a setting is wrong.
            QueryError: a time cannot be read.
            StoreError: the store cannot be read.
        """
        now = now_ms()
        bounds = [moment(text, now, name) if text else None for name, text in (("since", since), ("until", until))]
        return funnel(self._opened(), *bounds)

    def _step(self, kind: EventKind, request_id: str, fields: dict[str, Any]) -> None:
        known = {**fields, "request_id": request_id}
        # What belongs to the kind goes over a caller's field of the same name.
        self._events.collect(kind, **{name: held for name, held in known.items() if name not in kind.fields})

    def _opened(self) -> Store:
        with self._opening:
            if self._store is None:
                self._store = open_store(active())
            return self._store


def ad_fields(ad: object) -> dict[str, Any]:
    """The fields of an ad that is given as its id or as a mapping, which may call the id ``id``."""
    if not isinstance(ad, Mapping):
        return {"ad_id": ad}
    return {"ad_id" if name == "id" and "ad_id" not in ad else str(name): held for name, held in ad.items()}
