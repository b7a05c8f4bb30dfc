"""Words of a text as Elasticsearch's `standard` analyser finds them, so that both engines match the same messages.

Lucene's StandardTokenizer is Unicode's word segmentation (UAX #29) without the parts that are no words: ``user_01`` and
``example.com`` are one token each, an ideograph or hiragana sign is a token of its own, Hangul runs stay whole.
The expression below states the same rules with Unicode's Word_Break classes; `lowercase` follows, as in Lucene.
"""

from __future__ import annotations

from functools import cache

import tantivy

NAME = "standard"
LONGEST = 255  # characters; Lucene cuts a longer token into pieces of this length

# Word_Break classes; X marks what may follow any character of a word without ending it (rule WB4).
X = r"[\p{wb=Extend}\p{wb=Format}\p{wb=ZWJ}]*"
LETTER = rf"[\p{{wb=ALetter}}\p{{wb=Hebrew_Letter}}]{X}"
DIGIT = rf"[\p{{wb=Numeric}}]{X}"
KATAKANA = rf"\p{{wb=Katakana}}{X}"
LINK = rf"\p{{wb=ExtendNumLet}}{X}"  # underscores
MID_LETTER = rf"[\p{{wb=MidLetter}}\p{{wb=MidNumLet}}\p{{wb=Single_Quote}}]{X}"
MID_DIGIT = rf"[\p{{wb=MidNum}}\p{{wb=MidNumLet}}\p{{wb=Single_Quote}}]{X}"
LETTERS = rf"{LETTER}(?:(?:{LINK})*{LETTER}|{MID_LETTER}{LETTER})*"
DIGITS = rf"{DIGIT}(?:(?:{LINK})*{DIGIT}|{MID_DIGIT}{DIGIT})*"
KATAKANAS = rf"{KATAKANA}(?:(?:{LINK})*{KATAKANA})*"
PART = rf"(?:(?:{LETTERS}|{DIGITS})+|{KATAKANAS})"
WORD = rf"(?:{LINK})*{PART}(?:(?:{LINK})+{PART})*(?:{LINK})*"
SINGLE = rf"[\p{{Han}}\p{{Hiragana}}]{X}"
RUN = r"\p{lb=SA}+"
PATTERN = rf"{WORD}|{SINGLE}"


@cache
def analyzer() -> tantivy.TextAnalyzer:
    """The analyser that writer and reader register under :data:`NAME`."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(PATTERN)).filter(tantivy.Filter.lowercase()).build()


def tokens(text: str) -> list[str]:
    """The terms that ``text`` is searched by, in their order."""
    return list(analyzer().analyze(text))
