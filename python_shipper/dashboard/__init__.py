"""QUERY → PEOPLE: the JSON API and the pages that the embedded process serves, from any store."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import python_shipper
from python_shipper.dashboard import api, pages
from python_shipper.dashboard.guard import Guard
from python_shipper.dashboard.metrics import Collector
from python_shipper.dashboard.problems import (
    RequestError,
    handle_http,
    handle_invalid,
    handle_request_error,
    handle_unexpected,
)
from python_shipper.dashboard.rendering import STATIC
from python_shipper.dashboard.searches import Searches
from python_shipper.dashboard.service import Analysis, Service, Status
from python_shipper.settings import Settings
from python_shipper.store import Store

TOKEN = Depends(HTTPBearer(auto_error=False, description="API_TOKEN"))  # for the description; the guard checks it


def create_app(
    settings: Settings,
    store: Store,
    status: Status,
    collectors: Sequence[Collector] = (),
    analysis: Analysis | None = None,
) -> FastAPI:
    """The application: JSON under /api/, Prometheus text at /metrics, pages elsewhere.

    ``status`` gives the agent's figures as plain data; an empty dict where no agent runs in this process.
    ``collectors`` have metrics of their own, shown at /metrics.
    ``analysis`` is asked for findings; None where nothing is analysed.
    """
    app = FastAPI(
        title="python-shipper",
        version=python_shipper.__version__,
        description="Logs, traces and figures of the embedded stack.",
        docs_url=None,  # these pages load scripts from elsewhere; the description itself is at /openapi.json
        redoc_url=None,
    )
    app.state.service = Service(settings, store, status, Searches(), collectors, analysis)
    app.include_router(api.router, dependencies=[TOKEN] if settings.api_token else [])
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(RequestError, handle_request_error)
    app.add_exception_handler(RequestValidationError, handle_invalid)
    app.add_exception_handler(HTTPException, handle_http)
    app.add_exception_handler(Exception, handle_unexpected)
    app.add_middleware(Guard, settings=settings)
    return app
