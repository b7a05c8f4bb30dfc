"""The words and signs of a query string, as Lucene's classic query parser cuts them, with their places in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from python_shipper.errors import QueryError

START = r'(?:[^ \t\n\r\u3000+\-!():^\[\]"{}~*?\\/&|]|\\.|&(?!&)|\|(?!\|))'
CHAR = rf"(?:{START}|[+\-])"
BLANK = r"[ \t\n\r\u3000]"
BOUND = r'(?:"(?:[^"\\]|\\.)*"|[^ \t\n\r\]}"]+)'
# In the order in which they are tried; the longest of Lucene's rules comes first where two could match.
RULES = {
    "AND": r"(?:AND(?=[ \t\n\r\u3000(+\-!\"]|$)|&&)",
    "OR": r"(?:OR(?=[ \t\n\r\u3000(+\-!\"]|$)|\|\|)",
    "NOT": r"(?:NOT(?=[ \t\n\r\u3000(+\-!\"]|$)|!(?![ \t\n\r\u3000]))",
    "BAREOPER": rf"[+\-!](?={BLANK})",
    "PLUS": r"\+",
    "MINUS": r"-",
    "LPAREN": r"\(",
    "RPAREN": r"\)",
    "COLON": r":",
    "STAR": rf"\*(?!{CHAR}|[*?])",
    "CARAT": r"\^(?:[0-9]+(?:\.[0-9]+)?)?",
    "QUOTED": r'"(?:[^"\\]|\\.)*"',
    "PREFIXTERM": rf"{START}{CHAR}*\*(?!{CHAR}|[*?])",
    "WILDTERM": rf"(?:{CHAR})*[*?](?:{CHAR}|[*?])*",
    "TERM": rf"{START}{CHAR}*",
    "FUZZY": r"~(?:[0-9]+(?:\.[0-9]+)?)?",
    "REGEX": r"/(?:[^/\\]|\\.)*/",
    "RANGE": rf"[\[{{]{BLANK}*{BOUND}{BLANK}+TO{BLANK}+{BOUND}{BLANK}*[\]}}]",
}
TOKEN = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in RULES.items()), re.DOTALL)
SPACE = re.compile(f"{BLANK}+")
RANGE = re.compile(
    rf"(?P<open>[\[{{]){BLANK}*(?P<low>{BOUND}){BLANK}+TO{BLANK}+(?P<high>{BOUND}){BLANK}*(?P<close>[\]}}])", re.DOTALL
)


class Token(NamedTuple):
    """One piece of a query string: its kind, its text as written, and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after it."""
        return self.start + len(self.text)


def lex(text: str) -> list[Token]:
    """The tokens of ``text``, and one of kind ``END`` after them.

    Raises:
        QueryError: a sign that begins nothing, such as an unclosed quote.
    """
    found, position = [], 0
    while position < len(text):
        space = SPACE.match(text, position)
        if space:
            position = space.end()
            continue
        match = TOKEN.match(text, position)
        if match is None:
            raise QueryError(
                f"query_string {shown(text)}: cannot read {text[position : position + 20]!r} at column {position + 1}; "
                "quote or escape special signs"
            )
        found.append(Token(str(match.lastgroup), match[0], position))
        position = match.end()
    return [*found, Token("END", "", position)]


def shown(text: str) -> str:
    """The query for an error message."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def unescaped(text: str) -> str:
    """``text`` without the backslashes that quote signs, or stand before ``u`` and a character's four hex digits."""
    return re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else m[2], text, flags=re.DOTALL)
