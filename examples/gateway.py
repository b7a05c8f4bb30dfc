"""The first service of the demo: passes a client's orders on, and records what becomes of its ads."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import python_shipper
from examples import ads
from python_shipper.integrations import fastapi as shipper

ORDERS_URL = os.environ.get("ORDERS_URL", "http://127.0.0.1:8802")

python_shipper.configure(service="gateway")
log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=ORDERS_URL, timeout=10) as client:
        app.state.orders = client
        yield


app = FastAPI(title="gateway", lifespan=lifespan)
shipper.install(app)


class View(BaseModel):
    user_id: str
    request_id: str


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/orders", status_code=201)
async def order(request: Request) -> dict[str, object]:
    began = time.perf_counter()
    body = await request.json()
    python_shipper.bind(order_id=body.get("order_id"), user_id=body.get("user_id"))
    log.info("order accepted for %s", body.get("email"))
    response = await app.state.orders.post("/orders", json=body)
    if response.status_code != 201:
        log.error("order failed", extra={"upstream_status": response.status_code, "operation": "place order"})
        raise HTTPException(response.status_code, response.json()["detail"])
    log.info("order confirmed", extra={"duration": time.perf_counter() - began})
    result: dict[str, object] = response.json()
    return result


@app.post("/ads")
async def ad(view: View) -> dict[str, object]:
    python_shipper.bind(user_id=view.user_id, request_id=view.request_id)
    return ads.show()
