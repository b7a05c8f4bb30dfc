"""What a stock ``LogRecord`` holds beside the message: the caller's fields, the exception, the message itself.

Reading changes nothing in the record, for other handlers get the same one.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from itertools import islice
from types import TracebackType
from typing import Any

from python_shipper.core.plain import safe_text

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
_BLANK = logging.LogRecord("", 0, "", 0, "", (), None)
STANDARD = len(_BLANK.__dict__)
CLASHING = "clashing_fields"
REFUSED = frozenset({"message", "asctime", CLASHING})  # names that stock logging keeps for itself, and ours
# What the Elastic APM agent's filter sets, and the fields that it means; its labels hold the same ids once more.
APM = {
    "elasticapm_trace_id": "trace.id",
    "elasticapm_transaction_id": "transaction.id",
    "elasticapm_span_id": "span.id",
    "elasticapm_service_name": "service.name",
    "elasticapm_service_environment": "service.environment",
}
# Set by formatters, newer Pythons and uvicorn (the message once more, coloured); not fields of the caller's.
NOT_FIELDS = (
    frozenset(_BLANK.__dict__)
    | frozenset(APM)
    | {"message", "asctime", "taskName", "color_message", "elasticapm_labels", CLASHING}
)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as ``extra=``, in its order."""
    held: dict[str, Any] = record.__dict__
    if len(held) == STANDARD:
        return {}
    # A plain record holds its own attributes first; another class may have set some before calling ours.
    items = islice(held.items(), STANDARD, None) if type(record) is logging.LogRecord else held.items()
    fields: dict[str, Any] = dict(items)
    if NOT_FIELDS.isdisjoint(fields):
        return fields
    clashing: dict[str, Any] = fields.get(CLASHING, {})
    agent = {field: fields[key] for key, field in APM.items() if fields.get(key)}
    return agent | {key: value for key, value in fields.items() if key not in NOT_FIELDS} | clashing


def message_of(record: logging.LogRecord) -> str:
    """The message with its arguments; where they do not fit together, both as they are."""
    if not record.args and type(record.msg) is str:
        return record.msg
    try:
        return record.getMessage()
    except Exception:
        return f"{safe_text(record.msg)} {safe_text(record.args)}" if record.args else safe_text(record.msg)


def error_of(record: logging.LogRecord, limit: int | None) -> dict[str, str]:
    """`error.type`, `error.message`, `error.stack_trace` (with chained causes) of a record; empty without an exception.

    Args:
        record: may also carry only an exception's text (it came through a queue), or only a stack.
        limit: frames to include; 0 leaves the exception's stack trace out.
    """
    error: dict[str, str] = {}
    stacks = []
    info = exc_info(record.exc_info)
    if info is not None and info[0] is not None:
        error["error.type"] = getattr(info[0], "__name__", safe_text(info[0]))
        if info[1] is not None:
            error["error.message"] = safe_text(info[1])
        if limit != 0:
            stacks.append(stack_text(info, limit))
    elif record.exc_text:
        stacks.append(safe_text(record.exc_text))
    if record.stack_info:
        stacks.append(safe_text(record.stack_info))
    if stacks:
        error["error.stack_trace"] = "\n".join(stacks)
    return error


def exc_info(given: Any) -> ExcInfo | None:
    """The triple that ``exc_info=`` stands for: a triple, an exception, or true for the one being handled."""
    if not given:
        return None
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple) and len(given) == 3 and (given[1] is None or isinstance(given[1], BaseException)):
        return given
    return sys.exc_info()


def stack_text(info: ExcInfo, limit: int | None) -> str:
    """The formatted exception; of a broken one at least its frames."""
    try:
        return "".join(traceback.format_exception(*info, limit=limit)).rstrip("\n")
    except Exception as error:
        return f"{safe_text(info[0])}: {safe_text(info[1])} (its stack trace failed: {type(error).__name__})"


def make_record(
    logger: logging.Logger,
    name: str,
    level: int,
    fn: str,
    lno: int,
    msg: object,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    extra: Any = None,
    sinfo: str | None = None,
) -> logging.LogRecord:
    """``Logger.makeRecord`` that keeps a clashing ``extra`` (`name`, `message`, `args`, …) where stock raises."""
    record = logging.getLogRecordFactory()(name, level, fn, lno, msg, args, exc_info, func, sinfo)
    if not extra:
        return record
    held: dict[str, Any] = record.__dict__
    given = extra if isinstance(extra, Mapping) else {"extra": extra}
    if held.keys().isdisjoint(given) and REFUSED.isdisjoint(given):
        held.update(given)
    else:
        clashes = {key: key in held or key in REFUSED for key in given}
        held.update((key, value) for key, value in given.items() if not clashes[key])
        held[CLASHING] = {key: value for key, value in given.items() if clashes[key]}
    return record


def never_raise() -> None:
    """Let stock loggers keep a clashing ``extra`` instead of raising KeyError into the application; done once."""
    if logging.Logger.makeRecord is not make_record:
        logging.Logger.makeRecord = make_record  # type: ignore[method-assign,assignment]
