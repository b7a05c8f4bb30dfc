"""Statements on a real SQLite database."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from python_shipper.integrations import sqlalchemy
from python_shipper.settings import Settings
from python_shipper.testing import capture

Lines = list[dict[str, Any]]
metadata = MetaData()
accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_number", String),
    Column("note", String),
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture("python_shipper.sql") as captured:
        yield captured


def extra(line: dict[str, Any]) -> Any:
    return line["christmas"]["extra"]


def test_statements_with_duration_and_parameters_masked_by_column(engine: Engine, lines: Lines) -> None:
    assert sqlalchemy.install(engine, Settings(log_sql=True)) is True
    with engine.begin() as connection:
        connection.execute(insert(accounts).values(id=1, account_number="11023456789012", note="call 010-1234-5678"))
        connection.execute(select(accounts).where(accounts.c.account_number == "11023456789012")).all()
    inserted, selected = lines
    assert inserted["log.level"] == "info"
    assert inserted["christmas"]["operation"] == "INSERT" and selected["christmas"]["operation"] == "SELECT"
    assert extra(inserted)["sql"].startswith("INSERT INTO accounts")
    assert extra(inserted)["parameters"] == {"id": 1, "account_number": "***9012", "note": "call ***5678"}
    assert extra(selected)["parameters"] == {"account_number_1": "***9012"}
    assert inserted["event"]["outcome"] == "success" and inserted["event"]["duration"] > 0
    assert extra(inserted)["rows"] == 1


def test_an_async_engine(lines: Lines) -> None:
    async def run() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        sqlalchemy.install(engine, Settings(log_sql=True))
        async with engine.connect() as connection:
            await connection.execute(text("select :phone"), {"phone": "010-1234-5678"})
        await engine.dispose()

    asyncio.run(run())
    assert [extra(line)["parameters"] for line in lines] == [{"phone": "***5678"}]


def test_text_and_many_sets_of_parameters(engine: Engine, lines: Lines) -> None:
    sqlalchemy.install(engine, Settings(log_sql=True))
    with engine.begin() as connection:
        connection.execute(insert(accounts), [{"id": n, "account_number": f"1102345678{n}"} for n in range(10, 40)])
        connection.execute(text("select :phone"), {"phone": "010-1234-5678"})
        connection.exec_driver_sql("select ?", ("kim@example.com",))
    many, one, driver = (extra(line)["parameters"] for line in lines)
    assert len(many) == 11 and many[-1] == "…[cut, 30 sets]" and "1102345678" not in str(many)
    assert one == {"phone": "***5678"}
    assert driver == ["***.com"]


def test_a_failing_statement_is_logged_with_its_outcome(engine: Engine, lines: Lines) -> None:
    sqlalchemy.install(engine, Settings(log_sql=True))
    with engine.connect() as connection:
        with pytest.raises(OperationalError):
            connection.execute(
                text("select * from nowhere where account_number = :account_number"), {"account_number": "9"}
            )
        connection.execute(text("select 1"))
    failed, fine = lines
    assert failed["event"]["outcome"] == "failure" and failed["error"]["type"] == "OperationalError"
    assert extra(failed)["parameters"] == {"account_number": "***"}
    assert fine["event"]["outcome"] == "success"


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        (Settings(app_env="production", log_level="DEBUG"), None),
        (Settings(app_env="production", log_sql=True), "info"),
        (Settings(app_env="development"), "debug"),
        (Settings(app_env="development", log_level="INFO"), None),
    ],
)
def test_on_in_debug_mode_or_by_its_setting(
    engine: Engine, lines: Lines, settings: Settings, level: str | None
) -> None:
    assert sqlalchemy.install(engine, settings) is (level is not None)
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    assert [line["log.level"] for line in lines] == ([level] if level else [])


def test_every_engine_once_though_asked_for_twice(engine: Engine, lines: Lines) -> None:
    assert sqlalchemy.install(settings=Settings(log_sql=True))
    assert sqlalchemy.install(settings=Settings(log_sql=True))
    assert sqlalchemy.install(engine, Settings(log_sql=True))
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    assert len(lines) == 1
