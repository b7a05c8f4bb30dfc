"""Masking finds what it must, leaves what only looks alike, is idempotent, and its pre-test never loses a match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.masking import CORPUS, MARKED, found, unmarked
from python_shipper.contract import Rule, contract, masking_rules
from python_shipper.core import masking
from python_shipper.core.checks import iban, luhn, rrn
from python_shipper.core.masking import Masker, is_masked, read_hash_key, words
from python_shipper.errors import ConfigurationError

DATA: dict[str, Any] = yaml.safe_load(CORPUS.read_text(encoding="utf-8"))
POSITIVES = [text for texts in DATA["positives"].values() for text in texts]
LOOK_ALIKES = [text for texts in DATA["look_alikes"].values() for text in texts]
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def masker() -> Masker:
    return Masker(masking_rules(), contract(), None)


@pytest.mark.parametrize("text", POSITIVES)
def test_what_is_personal_is_replaced_and_nothing_else(masker: Masker, text: str) -> None:
    assert found(masker, text) == len(MARKED.findall(text)), masker.text(unmarked(text))


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_looks_alike_stays(masker: Masker, text: str) -> None:
    assert masker.text(text) == text


@pytest.mark.parametrize("text", [text for texts in DATA["known_missed"].values() for text in texts])
def test_what_is_known_to_be_missed_still_is(masker: Masker, text: str) -> None:
    """One that is found now belongs among the positives."""
    assert found(masker, text) == 0


@pytest.mark.parametrize("text", [text for texts in DATA["known_wrong"].values() for text in texts])
def test_what_is_known_to_be_taken_wrongly_still_is(masker: Masker, text: str) -> None:
    """One that stays now belongs among the look-alikes."""
    assert masker.text(text) != text


@pytest.mark.parametrize(("key", "value"), DATA["keys"])
def test_a_key_name_decides(masker: Masker, key: str, value: Any) -> None:
    assert is_masked(masker.value(key, value))
    assert is_masked(masker.value("outer", {key: [value]})[key][0])
    assert is_masked(masker.event({"christmas": {"extra": {key: value}}})["christmas"]["extra"][key])


@pytest.mark.parametrize(("key", "value"), DATA["innocent_keys"])
def test_a_key_name_that_only_looks_alike_does_not(masker: Masker, key: str, value: Any) -> None:
    if key != "order_id":  # exempt as a field, not as a name
        assert masker.value(key, value) == value
    place = contract().short_names.get(key)
    if place is not None:
        *parents, leaf = place.field.split(".")
        event: dict[str, Any] = {leaf: value}
        for part in reversed(parents):
            event = {part: event}
        assert masker.event(event) == event


def test_every_rule_has_a_positive() -> None:
    assert set(DATA["positives"]) == {rule.name for rule in masking_rules()}


def test_exempt_fields_and_numbers_of_the_contract_are_left_alone(masker: Masker) -> None:
    event = {
        "message": "paid by 4111111111111111",
        "user": {"id": "kim@example.com", "email": "kim@example.com"},
        "trace": {"id": "4111111111111111"},
        "event": {"duration": 4111111111111111},
        "client": {"ip": "1.2.3.4"},
        "christmas": {"order": {"id": "010-1234-5678"}, "extra": {"n": 4111111111111111, "m": 4111111111111112}},
    }
    masked = masker.event(event)
    assert masked["message"] == "paid by ***1111"
    assert masked["user"] == {"id": "kim@example.com", "email": "***.com"}
    assert (masked["trace"], masked["event"], masked["client"]) == (event["trace"], event["event"], event["client"])
    assert masked["christmas"]["order"] == {"id": "010-1234-5678"}
    assert masked["christmas"]["extra"] == {"n": "***1111", "m": 4111111111111112}
    assert event["user"]["email"] == "kim@example.com", "the event that was given stays as it was"


def test_leaves_under_a_secret_key_are_treated_one_by_one(masker: Masker) -> None:
    value = {"old": "hunter2", "list": ["a", 1, None, True], "": {}}
    assert masker.value("password", value) == {
        "old": "[dropped]", "list": ["[dropped]", "[dropped]", None, True], "": {},
    }  # fmt: skip


pieces = st.sampled_from([unmarked(text) for text in [*POSITIVES, *LOOK_ALIKES]])
fragments = pieces | st.text(st.sampled_from("0123456789 -+().@:=AaMBz*가"), max_size=20) | st.text(max_size=8)
texts = st.lists(fragments, max_size=5).flatmap(
    lambda parts: st.sampled_from(["", " ", "-", ":", "="]).map(lambda joint: joint.join(parts))
)


@settings(max_examples=250, deadline=None)
@given(texts)
def test_masking_is_idempotent(text: str) -> None:
    once = DEFAULT.text(text)
    assert DEFAULT.text(once) == once


@settings(max_examples=250, deadline=None)
@given(texts)
def test_the_pretest_never_loses_a_match(text: str) -> None:
    """Applying every pattern without any pre-test gives the same."""
    plain, before = text, None
    while plain != before and not is_masked(plain):
        before = plain
        for pattern in DEFAULT._patterns:
            plain = pattern.apply(plain)
    assert DEFAULT.text(text) == plain


@pytest.mark.parametrize("index", range(sum(len(rule.patterns) for rule in masking_rules())))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_pretest_lets_every_match_of_a_pattern_through(index: int, data: st.DataObject) -> None:
    regex = DEFAULT._patterns[index].regex
    text = data.draw(st.from_regex(regex, alphabet=st.characters(codec="utf-8")))
    assert index in DEFAULT._gates.candidates(text)


DEFAULT = Masker(masking_rules(), contract(), None)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("@%@Prl.port%@a.co", "@******a.co"),
        ("a@b.co@c.de.fg@h.ij", "***@***h.ij"),
        ("4111-1111-1111-1111-1111-1111-1111", "***1111-1111-1111-1111"),
    ],
)
def test_what_a_first_pass_leaves_is_looked_at_again(masker: Masker, text: str, masked: str) -> None:
    assert masker.text(text) == masker.text(masker.text(text)) == masked


def test_hashing_keeps_equal_values_linkable() -> None:
    rules = [Rule("mail", "hash", keys=("email",), patterns=(r"[a-z]{1,20}@[a-z]{1,20}\.com",))]
    masker = Masker(rules, contract(), KEY)
    hashed = masker.text("from kim@example.com to lee@example.com")
    first, second = hashed.removeprefix("from ").split(" to ")
    assert first == masker.value("email", "kim@example.com") == masker.value("email", "KIM@example.com")
    assert first != second
    assert is_masked(first) and is_masked(second)
    assert first.startswith("hmac:630dcd29:")  # the first 8 hex digits of SHA-256(key)
    assert masker.text(hashed) == hashed


def test_hashing_without_a_key_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="masking rule mail: action hash needs a key; set LOG_HASH_KEY_FILE"):
        Masker([Rule("mail", "hash", keys=("email",))], contract(), None)
    with pytest.raises(ConfigurationError, match="LOG_HASH_KEY_FILE: cannot read"):
        read_hash_key(tmp_path / "absent")
    (tmp_path / "short").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="holds 5 bytes, at least 16 are needed"):
        read_hash_key(tmp_path / "short")


def test_a_pattern_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"masking rule x: '\(' is not a pattern"):
        Masker([Rule("x", "mask", patterns=("(",))], contract(), None)


def test_the_memory_of_clean_texts_is_bounded(masker: Masker) -> None:
    for number in range(masking.REMEMBERED * 3):
        masker.text(f"clean {number}")
        masker.value(f"key{number}", 1)
    assert len(masker.clean) <= masking.REMEMBERED
    assert len(masker._actions) <= masking.REMEMBERED


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("customerEmail", "customer_email"),
        ("Customer-Email", "customer_email"),
        ("customer.email", "customer_email"),
        ("HTTPPassword", "httppassword"),
        ("a1B2", "a1_b2"),
        ("계좌번호", "계좌번호"),
        ("__x__", "x"),
        ("", ""),
    ],
)
def test_key_names_are_split_into_words(key: str, name: str) -> None:
    assert words(key) == name


def test_check_digits() -> None:
    assert luhn("4111 1111 1111 1111") and not luhn("4111 1111 1111 1112") and not luhn("")
    assert rrn("880214-1984424") and not rrn("880214-1984425") and not rrn("880214")
    assert iban("GB82 WEST 1234 5698 7654 32") and not iban("GB82 WEST 1234 5698 7654 33") and not iban("GB82")


@pytest.mark.parametrize(
    "text", ["=" * 200_000, "a" * 200_000 + "@", "1-" * 100_000, "A1 " * 60_000, "password" * 20_000]
)
def test_long_hostile_texts_take_linear_time(masker: Masker, text: str) -> None:
    """Quadratic patterns would take minutes here and run into the test's time limit."""
    assert masker.text(text) == text
