"""Backups by hand, beside the nightly ones that Elasticsearch makes by the policy in elasticsearch/slm_policies/."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from python_shipper.core.clock import now_ms
from python_shipper.errors import StackError
from python_shipper.stack.api import Api, RefusedError, UnreachableError
from python_shipper.stack.provision import definitions, patiently, read_json

Report = Callable[[str], None]
REPOSITORY = "/_snapshot/backups"
POLICY = "elasticsearch/slm_policies/christmas-nightly.json"
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 3600
RESTORED = "christmas-restored-"
UNAVAILABLE = 503
# A restored index is looked at, then deleted by hand: the policy that would delete it at once is left off.
WITHOUT = ["index.lifecycle.name", "index.lifecycle.parse_origination_date", "index.lifecycle.origination_date"]


def backup(api: Api, report: Report) -> str:
    """Make a snapshot of what the nightly policy covers, wait for it, and give its name.

    Raises:
        StackError: it failed, or only part of it was written.
    """
    moment = datetime.fromtimestamp(now_ms() / 1000, UTC)
    name = f"christmas-{moment:%Y.%m.%d-%H%M%S}"
    api.call("PUT", f"{REPOSITORY}/{name}", read_json(definitions() / POLICY)["config"])
    while (made := snapshot(api, name))["state"] == "IN_PROGRESS":
        time.sleep(PAUSE_SECONDS)
    if made["state"] != "SUCCESS":
        raise StackError(f"backup {name}: {made['state']}: {made.get('failures') or made.get('reason')}")
    report(f"backup {name}: {len(made['indices'])} indices")
    return name


def snapshot(api: Api, name: str) -> dict[str, Any]:
    """What Elasticsearch knows of one snapshot."""
    found: dict[str, Any] = api.call("GET", f"{REPOSITORY}/{name}")["snapshots"][0]
    return found


def backups(api: Api) -> list[dict[str, Any]]:
    """Every complete backup, the oldest first."""
    found = api.call("GET", f"{REPOSITORY}/_all?sort=start_time")["snapshots"]
    return [each for each in found if each["state"] == "SUCCESS"]


def restore(api: Api, name: str | None, report: Report) -> list[str]:
    """Restore a backup (default: the newest) beside what is there, as ``christmas-restored-…``; the indices' names.

    Raises:
        StackError: there is no such backup, or it has been restored already.
    """
    known = [each["snapshot"] for each in backups(api)]
    if not known or (name is not None and name not in known):
        raise StackError(f"no backup{f' {name}' if name else ''}; there are: {', '.join(known) or 'none'}")
    chosen = name or known[-1]
    body = {
        "indices": "christmas-*,-christmas-restored-*",
        "rename_pattern": "christmas-(.+)",
        "rename_replacement": f"{RESTORED}$1",
        "include_global_state": False,
        "ignore_index_settings": WITHOUT,
    }
    api.call("POST", f"{REPOSITORY}/{chosen}/_restore?wait_for_completion=false", body)
    backed_up = [each for each in snapshot(api, chosen)["indices"] if not each.startswith(RESTORED)]
    names = [f"{RESTORED}{each.removeprefix('christmas-')}" for each in backed_up]
    patiently(lambda: require_restored(api, names), PATIENCE_SECONDS)
    report(f"restored {chosen}: {len(names)} indices named {RESTORED}…")
    return names


def require_restored(api: Api, names: list[str]) -> None:
    """Every primary shard of these indices is there.

    Raises:
        UnreachableError: not yet; an index that is not even listed counts as red.
    """
    listed = api.call("GET", f"/_cluster/health/{RESTORED}*?level=indices")["indices"]
    red = [name for name in names if listed.get(name, {"status": "red"})["status"] == "red"]
    if red:
        raise UnreachableError(f"{api.url}: {len(red)} of {len(names)} indices are not restored yet, such as {red[0]}")
    try:
        # A primary that health calls started may still refuse searches for a moment.
        api.call("GET", f"/{RESTORED}*/_search?size=0&allow_partial_search_results=false")
    except RefusedError as error:
        if error.status != UNAVAILABLE:
            raise
        raise UnreachableError(f"{api.url}: the restored indices do not answer yet") from None
