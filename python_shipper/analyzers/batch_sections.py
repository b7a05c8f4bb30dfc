"""The report's content as titled tables of texts: one place says what is told, and in which order, for every form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from python_shipper.units import milliseconds, number, size

SHOWN = 20  # rows of a table; the JSON report has all
Words = Mapping[str, str]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number at the report's head."""

    name: str
    value: str
    help: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table below a title; ``key`` names it whatever the language, ``bars`` are shares to draw beside its rows."""

    key: str
    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numeric: tuple[bool, ...] = ()
    notes: tuple[str, ...] = ()
    bars: tuple[float, ...] = ()


def headline(results: Row, said: Words) -> tuple[str, list[Figure]]:
    """The period in words, and the figures of the whole."""
    summary, read = results["summary"], results["input"]
    lines = said["lines_help"].format(duplicates=number(read["duplicates"]), unparsable=number(read["unparsable"]))
    rate = said["error_rate_help"].format(share=percent(summary["error_share_of_records"]))
    figures = [
        Figure(said["records"], number(summary["total_records"]), said["records_help"]),
        Figure(said["events"], number(summary["total_events"]), said["events_help"]),
        Figure(said["errors"], number(summary["total_errors"]), said["errors_help"]),
        Figure(said["error_rate"], percent(summary["error_rate"]), rate),
        Figure(said["lines"], number(read["lines"]), lines),
    ]
    period = results["period"]
    title = (
        said["period"].format(**{name: when(period[name]) for name in ("from", "to")}) if period else said["no_lines"]
    )
    return title, figures


def sections(results: Row, said: Words) -> Iterator[Section]:
    """Every section that has something to say, the most urgent first."""
    yield anomalies(results, said)
    if results["new_errors"] is not None:
        yield errors(
            "new_errors", results["new_errors"], said, () if results["new_errors"] else (said["no_new_errors"],)
        )
    if results["comparison"]:
        yield comparison(results, said)
    counted = (services(results, said), events(results, said), performance(results, said), error_types(results, said))
    yield from (section for section in counted if section.rows)
    if results["errors"]:
        rest = results["summary"]["errors_not_grouped"]
        yield errors(
            "errors_by_way", results["errors"], said, (said["not_grouped"].format(count=number(rest)),) if rest else ()
        )
    made = (
        campaigns(results, said),
        traces(results, said),
        levels(results, said),
        read(results, said),
        samples(results, said),
    )
    yield from (section for section in made if section.rows)


def table(
    key: str,
    said: Words,
    headings: str,
    rows: Sequence[Sequence[str]],
    bars: Iterable[float] = (),
    notes: Sequence[str] = (),
) -> Section:
    """A section from ``headings``: keys of words, those of numbers marked by a ``#``; at most 20 rows."""
    names = headings.split()
    more = [said["more"].format(count=number(len(rows) - SHOWN))] if len(rows) > SHOWN else []
    return Section(
        key,
        said[key],
        tuple(said.get(name.lstrip("#"), name.lstrip("#")) for name in names),
        tuple(tuple(row) for row in rows[:SHOWN]),
        tuple(name.startswith("#") for name in names),
        (*notes, *more),
        tuple(bars)[:SHOWN],
    )


def anomalies(results: Row, said: Words) -> Section:
    """What is out of bounds."""
    rows = [
        (
            said[row["severity"]],
            said[row["type"]],
            row.get("operation") or said[f"of_{row['of']}"],
            milliseconds(row["p95_ms"]) if "p95_ms" in row else percent(row["value"]),
            milliseconds(row["threshold"]) if "p95_ms" in row else percent(row["threshold"]),
            " ".join(row["evidence"]),
        )
        for row in results["anomalies"]
    ]
    notes = () if rows else (said["no_anomalies"],)
    return table("anomalies", said, "severity kind where #value #threshold evidence", rows, notes=notes)


def errors(key: str, found: Sequence[Row], said: Words, notes: Sequence[str]) -> Section:
    """Errors by type and fingerprint."""
    rows = [
        (
            row["error_type"],
            number(row["count"]),
            row["message"] or "",
            when(row["first_seen"]),
            when(row["last_seen"]),
            ", ".join(row["services"]),
            row["first_trace_id"] or "",
            row["fingerprint"],
        )
        for row in found
    ]
    headings = "error_type #count message first_seen last_seen services trace fingerprint"
    return table(key, said, headings, rows, shares(row["count"] for row in found), notes)


def comparison(results: Row, said: Words) -> Section:
    """The whole and the slowest operations beside the period before."""
    found, now = results["comparison"], results["summary"]
    figures = {"total_records": number, "total_events": number, "total_errors": number, "error_rate": percent}
    names = {"total_records": "records", "total_events": "events", "total_errors": "errors", "error_rate": "error_rate"}
    rows = [
        (said[names[key]], show(found["previous"][key]), show(now[key]), signed(found["change"][key]))
        for key, show in figures.items()
    ]
    rows += [
        (f"p95 {name}", milliseconds(row["previous_p95_ms"]), milliseconds(row["p95_ms"]), signed(row["change"]))
        for name, row in found["performance"].items()
    ]
    period = found["period"]
    note = f"{said['before']}: " + said["period"].format(**{name: when(period[name]) for name in ("from", "to")})
    return table("comparison", said, "value #before #now #change", rows, notes=(note,))


def services(results: Row, said: Words) -> Section:
    """Who wrote most."""
    rows = [
        (row["service"], *(number(row[name]) for name in ("records", "events", "errors")), percent(row["error_share"]))
        for row in results["services"]
    ]
    bars = shares(row["records"] for row in results["services"])
    return table("busiest", said, "service #records #events #errors #error_share", rows, bars)


def events(results: Row, said: Words) -> Section:
    """What happened."""
    total = results["summary"]["total_events"]
    rows = [
        (
            row["event_type"],
            number(row["count"]),
            percent(row["count"] / total),
            number(row["errors"]),
            ", ".join(row["services"]),
        )
        for row in results["events"]
    ]
    bars = shares(row["count"] for row in results["events"])
    return table("events_by_type", said, "event_type #count #share #errors services", rows, bars)


def performance(results: Row, said: Words) -> Section:
    """How long it took."""
    names = ("avg_ms", "min_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
    rows = [
        (row["operation"], number(row["count"]), *(milliseconds(row[n]) for n in names))
        for row in results["performance"]
    ]
    bars = shares(row["p95_ms"] for row in results["performance"])
    return table("performance", said, "operation #count #mean #least #p50 #p95 #p99 #most", rows, bars)


def error_types(results: Row, said: Words) -> Section:
    """Errors by type."""
    found, total = results["summary"]["error_breakdown"], results["summary"]["total_errors"]
    rows = [(name, number(count), percent(count / total)) for name, count in found.items()]
    return table("errors_by_type", said, "error_type #count #share", rows, shares(found.values()))


def levels(results: Row, said: Words) -> Section:
    """Records by level."""
    found, total = results["levels"], results["summary"]["total_records"]
    rows = [(name, number(count), percent(count / total)) for name, count in found.items()]
    return table("levels", said, "level #count #share", rows, shares(found.values()))


def campaigns(results: Row, said: Words) -> Section:
    """The funnel and its rates."""
    counts = ("bids", "wins", "impressions", "clicks", "conversions", "spend", "revenue")
    rows = [
        (
            row["campaign_id"] or said["no_campaign"],
            *(number(row[name]) for name in counts),
            percent(row["ctr"]),
            percent(row["cvr"]),
            "–" if row["roas"] is None else f"{row['roas']:.2f}",
        )
        for row in results["campaigns"]
    ]
    headings = f"campaign {' '.join(f'#{name}' for name in counts)} #CTR #CVR #ROAS"
    return table("campaigns", said, headings, rows, shares(row["impressions"] for row in results["campaigns"]))


def traces(results: Row, said: Words) -> Section:
    """What took longest from begin to end."""
    rows = [
        (
            row["trace_id"],
            milliseconds(row["duration_ms"]),
            when(row["start"]),
            number(row["records"]),
            number(row["errors"]),
            ", ".join(row["services"] or ()),
        )
        for row in results["traces"]
    ]
    return table(
        "traces",
        said,
        "trace #duration start #records #errors services",
        rows,
        shares(r["duration_ms"] for r in results["traces"]),
    )


def read(results: Row, said: Words) -> Section:
    """What was read, and what of it is not in the figures."""
    found = results["input"]
    rows = [(said["documents"] if found["source"] == "store" else said["lines"], number(found["lines"]))]
    if found["source"] == "files":
        rows = [(said["files"], number(found["files"])), (said["bytes"], size(found["bytes"])), *rows]
    rows += [(said[name], number(found[name])) for name in ("duplicates", "segment_headers", "unparsable")]
    rows += [("– " + said[name], number(count)) for name, count in found["unparsable_by_reason"].items()]
    rows += [(said["damaged"], path) for path in found["damaged_files"]]
    return table("input", said, "value #count", rows)


def samples(results: Row, said: Words) -> Section:
    """Lines that told nothing."""
    rows = [(row["file"], number(row["line"]), said[row["reason"]], row["text"]) for row in results["input"]["samples"]]
    return table("samples", said, "file #line reason text", rows)


def shares(values: Iterable[float]) -> list[float]:
    """Each value as a share of the largest."""
    found = list(values)
    most = max(found, default=0)
    return [value / most if most else 0.0 for value in found]


def percent(share: float | None) -> str:
    """A share for people."""
    return "–" if share is None else f"{share:.2%}"


def signed(change: float | None) -> str:
    """A change for people."""
    return "–" if change is None else f"{change:+.1%}"


def when(moment: str) -> str:
    """A time for people, to the second."""
    return moment[:19].replace("T", " ")
