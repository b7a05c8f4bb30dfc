"""A database that a disk damaged is moved aside at its next opening, whatever SQLite says of it."""

from pathlib import Path

import pytest

from python_shipper.core.database import open_database

SCHEMA = "CREATE TABLE IF NOT EXISTS letters (id TEXT PRIMARY KEY, place TEXT)"


@pytest.mark.parametrize("schema", [b"CREATE TABLE letters \xfd\xfe", b"\xfd\xfe letters \xff", b"\x00" * 30])
def test_a_schema_that_is_no_text_is_damage(tmp_path: Path, schema: bytes) -> None:
    path = tmp_path / "letters.sqlite3"
    connection, damaged = open_database(path, SCHEMA, "SELECT place FROM letters", "all is lost")
    connection.execute("INSERT INTO letters VALUES ('1', 'here')")
    connection.commit()
    connection.close()
    assert not damaged
    content = path.read_bytes()
    place = content.index(b"CREATE TABLE letters")
    path.write_bytes(content[:place] + schema + content[place + len(schema) :])

    connection, damaged = open_database(path, SCHEMA, "SELECT place FROM letters", "all is lost")
    assert damaged
    assert connection.execute("SELECT count(*) FROM letters").fetchone() == (0,)
    connection.close()
    assert (tmp_path / "letters.sqlite3.damaged-1").exists()
