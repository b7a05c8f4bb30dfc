"""The trace id row of the design, with a real OpenTelemetry SDK and the real asgi-correlation-id."""

from collections.abc import Iterator

import pytest
from asgi_correlation_id.context import correlation_id
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Tracer, TracerProvider

from python_shipper.core import context, tracing
from python_shipper.core.tracing import TraceIds

W3C = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.fixture
def tracer() -> Tracer:
    return TracerProvider().get_tracer("test")


@pytest.fixture
def correlated() -> Iterator[str]:
    token = correlation_id.set("from-their-middleware")
    yield "from-their-middleware"
    correlation_id.reset(token)


def test_the_header_comes_first_and_a_readable_id_stands() -> None:
    ids = tracing.accept({"X-Trace-ID": "abc123", "traceparent": f"00-{W3C}-{SPAN}-00"})
    assert (ids.trace_id, ids.parent_span_id, ids.flags) == ("abc123", SPAN, "00")
    assert len(ids.span_id) == 16 and ids.span_id != SPAN


def test_then_traceparent_then_the_active_span_then_a_new_id(tracer: Tracer) -> None:
    parent = {"Traceparent": f"00-{W3C}-{SPAN}-01", "tracestate": "vendor=1"}
    assert tracing.accept(parent)[2:] == (SPAN, "01", "vendor=1")
    assert tracing.accept(parent).trace_id == W3C
    with tracer.start_as_current_span("work") as span:
        ids = tracing.accept({})
        assert ids == TraceIds(f"{span.get_span_context().trace_id:032x}", f"{span.get_span_context().span_id:016x}")
    assert tracing.W3C_TRACE_ID.fullmatch(tracing.accept({}).trace_id)
    assert tracing.accept({}).trace_id != tracing.accept({}).trace_id


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "a/b", "é", "a\n", '"; drop', "<script>"])
def test_an_id_that_does_not_fit_counts_as_absent(bad: str) -> None:
    assert not tracing.is_trace_id(bad)
    assert tracing.accept({"x-trace-id": bad, "traceparent": f"00-{W3C}-{SPAN}-01"}).trace_id == W3C


@pytest.mark.parametrize("good", ["a", "x" * 128, "A.b_c-1"])
def test_ids_up_to_128_characters_fit(good: str) -> None:
    assert tracing.accept({"x-trace-id": good}).trace_id == good


@pytest.mark.parametrize(
    "bad",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{W3C}-{'0' * 16}-01",
        f"ff-{W3C}-{SPAN}-01",
        f"00-{W3C}-{SPAN}-01-more",
        f"00-{W3C.upper()}-{SPAN}-01",
        f"00-{W3C}-{SPAN}",
        W3C,
    ],
)
def test_a_traceparent_that_w3c_refuses_counts_as_absent(bad: str) -> None:
    ids = tracing.accept({"traceparent": bad, "tracestate": "vendor=1"})
    assert ids.trace_id != W3C and ids[2:] == (None, "01", None)


def test_a_later_version_may_have_more_parts() -> None:
    assert tracing.accept({"traceparent": f"01-{W3C}-{SPAN}-01-more"}).trace_id == W3C


@pytest.mark.parametrize("bad", ["", "é=1", "x" * 513, "a\tb"])
def test_a_tracestate_that_not_every_client_can_send_stays_here(bad: str) -> None:
    assert tracing.accept({"traceparent": f"00-{W3C}-{SPAN}-01", "tracestate": bad}).tracestate is None


@given(st.dictionaries(st.sampled_from(["X-Trace-ID", "x-trace-id", "traceparent", "tracestate", "other"]), st.text()))
def test_whatever_comes_in_the_ids_are_valid_and_can_be_sent_on(headers: dict[str, str]) -> None:
    ids = tracing.accept(headers)
    assert tracing.is_trace_id(ids.trace_id)
    with tracing.entered(ids):
        assert all(value.isascii() and value.isprintable() for value in tracing.outgoing_headers().values())


def test_another_header_name() -> None:
    assert tracing.accept({"x-request-id": "r1"}, header="X-Request-ID").trace_id == "r1"


def test_entered_binds_the_fields_and_restores_what_was_there() -> None:
    with context.bound(trace_id="outer"):
        with tracing.entered(TraceIds("inner", SPAN, "1" * 16)):
            assert dict(context.current()) == {
                "trace_id": "inner",
                "span_id": SPAN,
                "labels.parent_span_id": "1" * 16,
            }
        assert tracing.current() == "outer"
        assert tracing.outgoing_headers() == {"X-Trace-ID": "outer"}


def test_sent_on_are_the_header_always_and_traceparent_where_w3c_allows_the_id() -> None:
    assert tracing.outgoing_headers() == {}
    with tracing.entered(TraceIds("abc123", SPAN)):
        assert tracing.outgoing_headers("X-Request-ID") == {"X-Request-ID": "abc123"}
    with tracing.entered(TraceIds(W3C, SPAN, None, "00", "vendor=1")):
        assert tracing.outgoing_headers() == {
            "X-Trace-ID": W3C,
            "traceparent": f"00-{W3C}-{SPAN}-00",
            "tracestate": "vendor=1",
        }
        with context.bound(trace_id="0" * 31 + "a"):
            parent = tracing.outgoing_headers()["traceparent"]
            assert tracing.TRACEPARENT.fullmatch(parent) and parent.startswith("00-" + "0" * 31 + "a-")
    with context.bound(trace_id="has space"):
        assert tracing.outgoing_headers() == {}


def test_opentelemetry_sends_traceparent_itself(tracer: Tracer) -> None:
    with tracing.entered(TraceIds(W3C, SPAN)), tracer.start_as_current_span("call"):
        assert tracing.outgoing_headers() == {"X-Trace-ID": W3C}


def test_an_active_span_gives_a_record_its_span_id_and_its_trace_id_where_it_differs(tracer: Tracer) -> None:
    assert tracing.fields({}) == {} == tracing.fields({"trace_id": "abc123"})
    with tracer.start_as_current_span("work") as active:
        trace_id, span_id = (f"{active.get_span_context().trace_id:032x}", f"{active.get_span_context().span_id:016x}")
        assert tracing.fields({}) == {"trace_id": trace_id, "span_id": span_id}
        assert tracing.fields({"trace_id": trace_id}) == {"span_id": span_id}
        assert tracing.fields({"trace_id": "abc"}) == {"span_id": span_id, "labels.otel_trace_id": trace_id}
        assert tracing.current() == trace_id == tracing.new_trace_id()


def test_their_correlation_id_is_the_trace_id_where_none_is_bound(correlated: str, tracer: Tracer) -> None:
    assert tracing.current() == correlated
    assert tracing.fields({}) == {"trace_id": correlated}
    assert tracing.fields({"trace_id": "bound"}) == {}
    assert tracing.outgoing_headers() == {"X-Trace-ID": correlated}
    with tracer.start_as_current_span("work"):
        assert tracing.fields({})["trace_id"] == correlated
        assert tracing.fields({}).keys() == {"trace_id", "span_id", "labels.otel_trace_id"}
    with context.bound(trace_id="bound"):
        assert tracing.current() == "bound"
