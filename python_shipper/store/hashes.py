"""Whoever looks for a value that masking hashes finds it: the question's literals are hashed as the lines' were."""

from __future__ import annotations

import re

from python_shipper.core.masking import Masker, default_masker
from python_shipper.settings import Settings

# A field's value or a word on its own, quoted or not; what `query_string` gives a meaning to ends a word.
LITERAL = re.compile(r'(?P<field>[\w.@-]+:)?(?P<text>"(?:\\.|[^"\\])*"|[^\s()\[\]{}"<>=*?~^!+-][^\s()\[\]{}"<>=*?~^]*)')
ESCAPED = re.compile(r"\\(.)")
HASH = re.compile(r"hmac:[0-9a-f]{8}:[0-9a-f]{32}")


def with_hashes(query: str) -> str:
    """``query`` with every literal that masking turns into a hash replaced by that hash; as it is without a key.

    Raises:
        ConfigurationError: LOG_HASH_KEY_FILE or LOG_MASKING_FILE cannot be used.
    """
    if Settings.from_environment().log_hash_key_file is None:
        return query
    masker = default_masker()
    return LITERAL.sub(lambda match: hashed(match, masker), query)


def hashed(match: re.Match[str], masker: Masker) -> str:
    """One literal, hashed and quoted if masking hashes it in its field, or anywhere."""
    field, literal = match["field"] or "", match["text"]
    plain = ESCAPED.sub(r"\1", literal[1:-1] if literal.startswith('"') else literal)
    masked = masker.value(field.rstrip(":").rpartition(".")[2], plain)
    return f'{field}"{masked}"' if HASH.fullmatch(masked) else match[0]
