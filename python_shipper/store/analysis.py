"""Words of a text as Elasticsearch's `standard` analyser finds them, so that both engines match the same messages.

Lucene's StandardTokenizer is Unicode's word segmentation (UAX #29) without the parts that are no words: ``user_01`` and
``example.com`` are one token each, an ideograph or hiragana sign is a token of its own, Hangul runs stay whole.
The expression below states the same rules with Unicode's Word_Break classes; `lowercase` follows, as in Lucene.

It is too large for anything but the slowest of its engine's ways, which cost a third of all CPU when tantivy ran it at
indexing. So texts are cut into words here, those of ASCII and Hangul by a small expression that finds the same words
eight times faster, and tantivy is given them with blanks between.
"""

from __future__ import annotations

import re
from functools import cache

import tantivy

NAME = "standard"
LONGEST = 255  # characters of a token
LONG_RUN = re.compile(rf"\w{{{LONGEST + 1},}}")

# Word_Break classes; X marks what may follow any character of a word without ending it (rule WB4).
X = r"[\p{wb=Extend}\p{wb=Format}\p{wb=ZWJ}]*"
HEBREW = rf"\p{{wb=Hebrew_Letter}}{X}"
LETTER = rf"(?:\p{{wb=ALetter}}{X}|{HEBREW}(?:'{X}|\"{X}{HEBREW})?)"
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
# Scripts that write no blanks between words (Line_Break=Complex_Context): a run of their letters is one token.
SCRIPTS = ["Thai", "Lao", "Myanmar", "Khmer", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom"]
RUN = "(?:[" + "".join(rf"\p{{{name}}}" for name in SCRIPTS) + rf"&&[\p{{L}}\p{{M}}]]{X})+"
PICTURE = r"\p{Extended_Pictographic}"
FLAG = rf"\p{{Regional_Indicator}}{X}\p{{Regional_Indicator}}{X}"
KEYCAP = r"[0-9#*]\u{FE0F}?\u{20E3}"
EMOJI = rf"{FLAG}|\u{{200D}}?{PICTURE}(?:{X}\u{{200D}}{PICTURE})*{X}|\p{{Emoji_Modifier}}{X}|{KEYCAP}{X}"
PATTERN = rf"{EMOJI}|{WORD}|{RUN}|{SINGLE}"
# The same for what most texts consist of; it never steps back, so a hostile text costs no more than its length.
EASY = re.compile(r"[\x00-\x7f가-힣]*")
# Of these texts the words are what stands between blanks, as long as no word begins with an underscore.
PLAIN = re.compile(r"[A-Za-z0-9_ 가-힣]*")
EASY_LETTER = "A-Za-z가-힣"
EASY_WORD = re.compile(
    rf"(?<!_)_*[{EASY_LETTER}0-9]"
    rf"(?:[{EASY_LETTER}0-9_]+|(?<=[{EASY_LETTER}])[:.'](?=[{EASY_LETTER}])|(?<=[0-9])[,;.'](?=[0-9]))*"
)


@cache
def analyzer() -> tantivy.TextAnalyzer:
    """The analyser of texts that are not easy."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(PATTERN)).filter(tantivy.Filter.lowercase()).build()


@cache
def splitter() -> tantivy.TextAnalyzer:
    """What the writer registers under :data:`NAME`: splits what :func:`prepared` gives."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


def tokens(text: str) -> list[str]:
    """The terms that ``text`` is indexed and searched by, in their order.

    Lucene cuts a token after 255 characters, and lower-cases İ to one letter where Rust makes two.
    """
    if len(text) > LONGEST:
        text = LONG_RUN.sub(lambda run: " ".join(pieces(run[0])), text)
    if EASY.fullmatch(text):
        return EASY_WORD.findall(text.lower())
    return list(analyzer().analyze(text.replace("İ", "I")))


def prepared(text: str) -> str:
    """The words of ``text`` with blanks between, as the writer is given them; no word holds a blank."""
    if len(text) <= LONGEST and PLAIN.fullmatch(text) and " _" not in text and text[:1] != "_":
        return text.lower()
    return " ".join(tokens(text))


def pieces(run: str) -> list[str]:
    """A long run of letters and digits in pieces of the longest token's length."""
    return [run[start : start + LONGEST] for start in range(0, len(run), LONGEST)]
