"""A hashed value is found by the one who knows it, in its field and in text, quoted or not; and by nobody's guess."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from python_shipper.core.masking import default_masker
from python_shipper.store import Store
from python_shipper.store.hashes import with_hashes
from python_shipper.store.logs import Question, search_logs
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.store.documents import row

RULES = """
rules:
  - name: email
    action: hash
    keys: [email]
    patterns: ['[A-Za-z0-9._]{1,64}@[A-Za-z0-9-]{1,63}[.][A-Za-z]{2,9}']
"""


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "rules.yml").write_text(RULES)
    monkeypatch.setenv("LOG_HASH_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("LOG_MASKING_FILE", str(tmp_path / "rules.yml"))
    default_masker.cache_clear()
    yield
    default_masker.cache_clear()


@pytest.fixture
def store(key: None, tmp_path: Path) -> Iterator[Store]:
    mask = default_masker().event
    lines = [
        row(message="signed in", user={"email": "bob@example.com"}),
        row(message="mail to bob@example.com sent"),
        row(message="mail to eve@example.com sent", user={"email": "eve@example.com"}),
    ]
    with closing(Writer(tmp_path / "data")) as writer:
        writer.add([(index, letter, mask(document), *rest) for index, letter, document, *rest in lines])
        writer.commit()
    with closing(TantivyStore.open(tmp_path / "data")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ("user.email:bob@example.com", ["signed in"]),
        ('user.email:"BOB@example.com"', ["signed in"]),
        ("user.email:(bob@example.com OR eve@example.com)", ["mail to", "signed in"]),
        ("bob@example.com", ["mail to"]),
        ("mail bob@example.com sent", ["mail to"]),
        ("mail -bob@example.com", ["mail to"]),
        ("user.email:mallory@example.com", []),
    ],
)
def test_who_knows_the_value_finds_it(store: Store, query: str, messages: list[str]) -> None:
    found = search_logs(store, Question(query)).hits
    assert sorted(hit["_source"]["message"].partition(" hmac:")[0] for hit in found) == messages
    assert all("@" not in str(hit["_source"]["message"]) for hit in found)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "timeout",
        "log.level:error",
        "event.duration:>5",
        "a*",
        '"two words"',
        "(x OR y)",
        "user.id:[a TO b]",
        '"unclosed',
        "a\\:b",
    ],
)
def test_other_questions_stay_as_they_are(key: None, query: str) -> None:
    assert with_hashes(query) == query


def test_without_a_key_nothing_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOG_HASH_KEY_FILE", raising=False)
    assert with_hashes("user.email:bob@example.com") == "user.email:bob@example.com"
