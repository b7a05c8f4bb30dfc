"""Coverage-guided fuzzing of emission: any message, arguments and fields give one good line, and raise nothing.

Needs atheris, which is not among the development dependencies:

    pip install atheris && python -m tests.core.fuzz -max_total_time=600 [folder of the corpus]

A finding becomes a case of `hostile.py`.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["python_shipper.core", "python_shipper.agent"]):
    from python_shipper.agent.pipeline import Pipeline, Source
    from python_shipper.core import counts
    from python_shipper.core.formatters import EcsFormatter
    from python_shipper.core.records import make_record, never_raise

import logging

from python_shipper.contract import contract
from tests.spec.validator import checked

never_raise()
ENCODER, PIPELINE, SOURCE = EcsFormatter(service="fuzz"), Pipeline(), Source("/l/fuzz.ecs.log", "f" * 64, 1)
NAMES = [
    *contract().fields,
    *contract().short_names,
    "name",
    "message",
    "args",
    "labels.a",
    "christmas.x",
    "http",
    "a.b",
]


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def value(data: atheris.FuzzedDataProvider, depth: int = 0) -> Any:
    """Any value: scalars of every kind, and containers of them."""
    kind = data.ConsumeIntInRange(0, 13 if depth < 4 else 9)
    if kind >= 10:
        size = data.ConsumeIntInRange(0, 4)
        if kind < 12:
            return {key(data): value(data, depth + 1) for _ in range(size)}
        items = [value(data, depth + 1) for _ in range(size)]
        return items if kind == 12 else tuple(items)
    makers = (
        lambda: None,
        lambda: data.ConsumeBool(),
        lambda: data.ConsumeInt(8),
        lambda: data.ConsumeInt(40),
        lambda: data.ConsumeFloat(),
        lambda: data.ConsumeUnicode(40),
        lambda: data.ConsumeUnicodeNoSurrogates(200),
        lambda: data.ConsumeBytes(40),
        lambda: Rude(),
        lambda: (
            data.ConsumeString(12) + data.PickValueInList(["@a.co", "4111111111111111", "010-1234-5678", "password="])
        ),
    )
    return makers[kind]()


def key(data: atheris.FuzzedDataProvider) -> Any:
    """Often a name that means something."""
    if data.ConsumeBool():
        return data.PickValueInList(NAMES)
    return data.ConsumeUnicode(12) if data.ConsumeBool() else data.ConsumeInt(2)


def one_input(raw: bytes) -> None:
    data = atheris.FuzzedDataProvider(raw)
    fields = {key(data): value(data) for _ in range(data.ConsumeIntInRange(0, 5))}
    args = tuple(value(data, 3) for _ in range(data.ConsumeIntInRange(0, 2)))
    message = data.ConsumeUnicode(200)
    before = counts.current()
    record = make_record(logging.getLogger("f"), "f", 20, "f.py", 1, message, args, None, "f", fields)
    line = ENCODER.encode(record)
    event = checked(line)
    assert counts.current() == before
    routed = PIPELINE.process(line.rstrip(b"\n"), SOURCE, int(record.created * 1000))
    stored = {
        **routed.document,
        "log": {k: v for k, v in routed.document["log"].items() if k not in ("file", "offset")},
    }
    assert stored == event, (stored, event)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
