"""Who called whom is found from span ids, and without them from time; nothing a log line holds breaks it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from python_shipper.core.clock import iso
from python_shipper.store.traces import Trace, arranged, as_json


def hit(
    number: int, ms: int, service: str, span: str | None = None, parent: str | None = None, **fields: Any
) -> dict[str, Any]:
    source: dict[str, Any] = {"@timestamp": iso(ms), "service": {"name": service}, "log.level": "info"} | fields
    source |= {"span": {"id": span}} if span else {}
    source |= {"labels": {"parent_span_id": parent}} if parent else {}
    return {"_index": "i", "_id": f"{number:04}", "_source": source}


def shape(trace: Trace) -> list[tuple[str, int]]:
    return [(span.service, span.depth) for span in trace.spans]


def test_the_caller_is_the_span_that_the_line_names() -> None:
    hits = [
        hit(1, 0, "gateway", "a"),
        hit(2, 1, "orders", "b", "a"),
        hit(3, 2, "engine", "c", "b"),
        hit(4, 3, "engine", "d", "b"),
        hit(5, 90, "orders", "b", "a", event={"duration": 89_000_000}),
    ]
    trace = arranged("t", hits, 5)
    assert shape(trace) == [("gateway", 0), ("orders", 1), ("engine", 2), ("engine", 2)]
    assert [span.duration_ms for span in trace.spans] == [0, 89, 0, 0]
    assert (trace.start_ms, trace.duration_ms, trace.services) == (0, 90, ["gateway", "orders", "engine"])
    assert [line["_id"] for _, line in trace.lines] == ["0001", "0002", "0003", "0004", "0005"]


def test_without_span_ids_the_shortest_span_around_it_is_the_caller() -> None:
    hits = [hit(1, 0, "gateway"), hit(2, 10, "orders"), hit(3, 20, "engine"), hit(4, 30, "engine")]
    hits += [hit(5, 80, "orders"), hit(6, 100, "gateway"), hit(7, 200, "later")]
    assert shape(arranged("t", hits, 7)) == [("gateway", 0), ("orders", 1), ("engine", 2), ("later", 0)]


def test_failures_are_lines_of_level_error_or_worse() -> None:
    levels = ["info", "error", "critical", None, "ERROR"]
    hits = [hit(n, n, "a", "s", **{"log.level": level}) for n, level in enumerate(levels)]
    trace = arranged("t", hits, 5)
    assert len(trace.failures) == 2
    assert as_json(trace)["spans"][0]["failed"] is True


def test_spans_that_call_each_other_in_a_circle_are_all_shown() -> None:
    hits = [hit(1, 0, "a", "1", "2"), hit(2, 1, "b", "2", "1"), hit(3, 2, "c", "3", "3")]
    assert sorted(service for service, _ in shape(arranged("t", hits, 3))) == ["a", "b", "c"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1000),
            st.sampled_from("abc"),
            st.sampled_from([None, "1", "2", "3"]),
            st.sampled_from([None, "1", "2", "3"]),
            st.sampled_from([None, 5_000_000, 10**12, "text"]),
        ),
        max_size=12,
    )
)
def test_every_line_is_in_exactly_one_span_whatever_the_ids_say(rows: list[Any]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    hits = [hit(n, ms, s, span, parent, event={"duration": d}) for n, (ms, s, span, parent, d) in enumerate(rows)]
    trace = arranged("t", hits, len(hits))
    assert sorted(line["_id"] for span in trace.spans for line in span.hits) == [line["_id"] for line in hits]
    assert all(span.depth == 0 or span.parent is not None for span in trace.spans)
    assert all(0 <= span.duration_ms <= trace.duration_ms for span in trace.spans)
    as_json(trace)
