"""Documents that every request of the conformance suite is asked of: seeded, so that both engines get the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from python_shipper.core.ulid import encoded
from tests.store.documents import NOON, Row, row

SERVICES = ("gateway", "orders", "analysis-engine", "ads", "billing")
LEVELS = ("debug", "info", "warning", "error")
TEXTS = (
    "order executed for user_01 in 12.5 ms",
    "Timeout while calling https://pay.example.com/v1/charge?id=42 after 1,234.5 ms",
    "MACD computation failed: division by zero",
    "주문이 체결되었습니다 order_9182 계좌 ***8901",
    "결제 시간 초과: retry 3/5",
    "user's session won't start, can't re-connect (e-mail foo@example.com)",
    "東京 データ センター で エラー が 発生しました",
    "connection reset by peer 10.0.0.7:5432",
    "CamelCaseName snake_case_name kebab-case-name dotted.name.here",
    "naïve café Straße ΑΒΓ Привет МИР",
    "emoji 🚀 launched 👩‍💻 ok",
    "timeout timeout TIMEOUT time out",
    "cache miss; cache hit; CACHE full",
    'error="boom" code=E-1001 path=/api/v1/orders/7',
    "impression click conversion",
    "a.b,c;d:e f·g 1.2.3 1,2,3 12:30:45 v2.0-rc1 C++ C# .NET",
    "segment 000012 01KDZ9BD5REXJPZZ72BC8R1QM9",
    "한글English혼합123텍스트 日本語 ひらがな カタカナ ＡＢＣ",
)
TRACE = "%032x"


def corpus(count: int, seed: int = 7, days: int = 3) -> Iterator[Row]:
    """``count`` rows over the ``days`` up to the 2nd of January 2026, times not unique, some fields often missing."""
    chance = random.Random(seed)
    start, span = NOON - (days - 1) * 86_400_000 - 43_200_000, days * 86_400_000
    trace = ""
    for number in range(count):
        ms = start + span * number // count // 50 * 50
        if number % 6 == 0:
            trace = TRACE % chance.getrandbits(128)
        yield one(number, ms, trace, chance)


def one(number: int, ms: int, trace: str, chance: random.Random) -> Row:
    """One row."""
    service = chance.choices(SERVICES, (30, 30, 20, 15, 5))[0]
    level = chance.choices(LEVELS, (10, 70, 12, 8))[0]
    identity = encoded(ms, 10) + encoded(chance.getrandbits(80), 16)
    event: dict[str, Any] = {
        "module": f"{service}.handlers",
        "action": chance.choice(("request", "order-executed", "click")),
    }
    more: dict[str, Any] = {"trace": {"id": trace}, "user": {"id": f"u{int(chance.expovariate(0.002))}"}}
    if chance.random() < 0.8:
        event["duration"] = int(chance.lognormvariate(16, 1.2))
    if level == "error":
        more["error"] = {
            "type": chance.choice(("ValueError", "TimeoutError", "ZeroDivisionError")),
            "message": chance.choice(TEXTS),
            "stack_trace": f'Traceback (most recent call last):\n  File "{service}.py", line {number % 90}\nBoom*?',
        }
    optional(more, chance, number)
    return row(ms, service, level, f"{chance.choice(TEXTS)} n{number % 1000}", id=identity, event=event, **more)


def optional(more: dict[str, Any], chance: random.Random, number: int) -> None:
    """Fields that only some documents have, of every type of the mapping."""
    if chance.random() < 0.4:
        more["http"] = {
            "request": {"method": chance.choice(("GET", "POST", "PUT"))},
            "response": {"status_code": chance.choice((200, 200, 200, 201, 404, 500, 503))},
        }
        more["url"] = {"path": f"/api/v1/orders/{number % 37}", "query": "a=1&b=[x y]"}
        more["client"] = {"ip": chance.choice(("10.0.0.1", "10.0.0.77", "192.168.1.5", "2001:db8::1", "::1"))}
    if chance.random() < 0.3:
        more["tags"] = chance.sample(("web", "slow", "beta", "경고", "with blank"), k=chance.randint(1, 3))
    if chance.random() < 0.3:
        more["christmas"] = christmas(chance, number)
    if chance.random() < 0.2:
        more["labels"] = {"team": chance.choice(("a", "b")), "zone": {"name": f"z{number % 5}"}, "on": number % 2 == 0}
    if chance.random() < 0.1:
        more["process"] = {"pid": chance.choice((-1, 0, 1, 127, 128, 4242)), "args": ["run", f"--n={number % 3}"]}


def christmas(chance: random.Random, number: int) -> dict[str, Any]:
    """Our own fields, a flattened one among them."""
    extra = {
        "foo": chance.choice(("bar", "baz", "Bar", "1", "")),
        "n": number % 7,
        "deep": {"er": [1, 2.5, True, None, "x y"]},
    }
    return {
        "order": {"id": f"o-{number % 500}"},
        "bid": {"price": round(chance.uniform(-2, 50), 2), "win": chance.random() < 0.5},
        "click": {"position": chance.randint(1, 10)},
        "extra": extra,
    }
