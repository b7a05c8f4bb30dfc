"""The last service of the demo: computes trading signals, is busy at times, and cannot compute some at all."""

from __future__ import annotations

import logging
import os
import random
import time

from fastapi import FastAPI, HTTPException

import python_shipper
from python_shipper.integrations import fastapi as shipper

python_shipper.configure(service="analysis_engine")
log = logging.getLogger(__name__)
app = FastAPI(title="analysis_engine")
shipper.install(app)

chance = random.Random(os.environ.get("EXAMPLE_SEED"))  # without a seed: different each time
BUSY_SHARE = 0.1
FAST, SLOW, SIGNAL = 12, 26, 9  # the usual periods of MACD
NEW_LISTING = "NEWCO"  # listed this morning: no signal can be computed from its few prices


def prices(symbol: str) -> list[float]:
    """A made-up price history, the same for a symbol each time."""
    walk = random.Random(symbol)
    price, history = 100.0, []
    for _ in range(3 if symbol == NEW_LISTING else 120):
        price *= 1 + walk.gauss(0, 0.01)
        history.append(price)
    return history


def ema(values: list[float], period: int) -> list[float]:
    """The exponential moving average, started by the plain average of the first ``period`` values."""
    average = sum(values[:period]) / len(values[:period])
    averages = [average]
    for value in values[period:]:
        average += (value - average) * 2 / (period + 1)
        averages.append(average)
    return averages


def macd(values: list[float]) -> float:
    """Moving average convergence/divergence: how far the MACD line is above its signal line."""
    slow = ema(values, SLOW)
    line = [fast - low for fast, low in zip(ema(values, FAST)[SLOW - FAST :], slow, strict=False)]
    return line[-1] - ema(line, SIGNAL)[-1]


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/signals/{symbol}")
async def signal(symbol: str, order_id: str = "") -> dict[str, object]:
    if chance.random() < BUSY_SHARE:
        log.warning("calculation queue full, asking caller to retry", extra={"order_id": order_id, "symbol": symbol})
        raise HTTPException(503, "busy")
    began = time.perf_counter()
    try:
        divergence = macd(prices(symbol))
    except (IndexError, ZeroDivisionError) as error:
        log.exception("MACD computation failed", extra={"order_id": order_id, "symbol": symbol})
        raise HTTPException(500, "MACD computation failed") from error
    advice = "buy" if divergence > 0 else "sell"
    duration = time.perf_counter() - began
    log.info("signal computed", extra={"order_id": order_id, "symbol": symbol, "signal": advice, "duration": duration})
    return {"symbol": symbol, "signal": advice, "macd": divergence}
