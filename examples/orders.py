"""The middle service of the demo: takes an order, asks for a signal, retries when told to, executes or rejects."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import python_shipper
from python_shipper.integrations import fastapi as shipper

ANALYSIS_ENGINE_URL = os.environ.get("ANALYSIS_ENGINE_URL", "http://127.0.0.1:8803")
ATTEMPTS = 4
PAUSE_SECONDS = 0.02

python_shipper.configure(service="orders")
log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=ANALYSIS_ENGINE_URL, timeout=5) as client:
        app.state.analysis = client
        yield


app = FastAPI(title="orders", lifespan=lifespan)
shipper.install(app)


class Order(BaseModel):
    order_id: str
    user_id: str
    account_number: str
    symbol: str
    quantity: int


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/orders", status_code=201)
async def place(order: Order) -> dict[str, object]:
    began = time.perf_counter()
    python_shipper.bind(order_id=order.order_id, user_id=order.user_id)
    # Personal data in a field and in the text, as it happens: what is written shows the last four characters.
    log.info("order received, account %s", order.account_number, extra={"account_number": order.account_number})
    signal = await signal_for(order)
    log.info("order executed", extra={"symbol": order.symbol, "duration": time.perf_counter() - began})
    return {"order_id": order.order_id, "status": "executed", "signal": signal}


async def signal_for(order: Order) -> str:
    """The analysis engine's advice; a busy engine is asked again, a failing one rejects the order."""
    for attempt in range(1, ATTEMPTS + 1):
        response = await app.state.analysis.get(f"/signals/{order.symbol}", params={"order_id": order.order_id})
        if response.status_code == 200:
            return str(response.json()["signal"])
        if response.status_code != 503:
            break
        log.warning("analysis engine busy, retrying", extra={"attempt": attempt, "symbol": order.symbol})
        await asyncio.sleep(PAUSE_SECONDS * attempt)
    log.error("order rejected: no signal", extra={"symbol": order.symbol, "operation": "signal"})
    raise HTTPException(502, "no signal")
