"""Query strings (`level:error AND service:orders "time out"`): Lucene's classic syntax as Elasticsearch reads it.

The rules that surprise are Lucene's: words without an operator between them are looked up together in each default
field, and AND makes the clause before it required, whatever stands further left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from python_shipper.errors import QueryError
from python_shipper.store import fields, schema
from python_shipper.store.analysis import tokens
from python_shipper.store.fields import Bounds, Dates
from python_shipper.store.lexer import RANGE, Token, lex, shown, unescaped
from python_shipper.store.minimum import minimum_should_match
from python_shipper.store.nodes import All, Bool, Node, Nothing, Phrase, Terms, all_of, any_of

PARAMETERS = {
    "query", "default_field", "fields", "default_operator", "lenient", "time_zone", "minimum_should_match",
    "analyze_wildcard", "allow_leading_wildcard", "phrase_slop", "type", "tie_breaker", "quote_field_suffix",
    "auto_generate_synonyms_phrase_query", "rewrite", "max_determinized_states", "enable_position_increments",
}  # fmt: skip
REFUSED = ("quote_field_suffix", "analyze_wildcard")
NO_MULTI = {"COLON", "STAR", "FUZZY", "CARAT", "AND", "OR"}
Occur = Literal["must", "should", "must_not"]
LONGEST = 10_000  # characters
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters that decide what a query string means."""

    fields: tuple[str, ...]
    operator: str
    dates: Dates
    lenient: bool
    slop: int


@dataclass(slots=True)
class Clause:
    """One clause of a group, and whether it must match."""

    node: Node
    occur: Occur


def parse(body: Mapping[str, Any], when: Dates) -> Node:
    """The node for the parameters of a `query_string` query.

    Raises:
        QueryError: a syntax error, or a part outside the subset (regular expressions, fuzzy words).
    """
    text = body.get("query")
    if not isinstance(text, str):
        raise QueryError(f"query_string: needs a [query] that is a text, got {text!r}")
    if len(text) > LONGEST:
        raise QueryError(f"query_string: longer than {LONGEST} characters")
    for name in REFUSED:
        if body.get(name):
            raise QueryError(f"query_string: [{name}] is not supported")
    if not text.strip():
        return Nothing()
    found = Parser(text, options(body, when)).top()
    return with_minimum(found, body.get("minimum_should_match"))


def options(body: Mapping[str, Any], when: Dates) -> Options:
    """The options of a `query_string` query."""
    operator = str(body.get("default_operator", "or")).lower()
    if operator not in ("or", "and"):
        raise QueryError(f"query_string default_operator: expected or, and; got {operator!r}")
    if str(body.get("type", "best_fields")) not in ("best_fields", "most_fields"):
        raise QueryError(f"query_string type {body['type']!r}: not supported; one of best_fields, most_fields")
    if "fields" in body and "default_field" in body:
        raise QueryError("query_string: [default_field] and [fields] cannot both be given")
    named = body.get("fields") or ([body["default_field"]] if body.get("default_field") else schema.default_fields())
    paths = tuple(str(name).partition("^")[0] for name in named)
    lenient = body.get("lenient", "*" in paths) in (True, "true")
    dates = Dates(when.now_ms, None, body.get("time_zone"))
    return Options(paths, operator, dates, lenient, int(body.get("phrase_slop", 0)))


def with_minimum(node: Node, spec: Any) -> Node:
    """``node`` with `minimum_should_match` applied to its optional clauses."""
    if spec is None or not isinstance(node, Bool) or not node.should:
        return node
    least = minimum_should_match(spec, len(node.should))
    return Bool(node.must, node.should, node.must_not, max(least, node.minimum))


class Parser:
    """A descent through the grammar of Lucene's ``QueryParser.jj``."""

    def __init__(self, text: str, how: Options) -> None:
        self.text, self.how = text, how
        self.tokens = lex(text)
        self.place = self.depth = 0

    def peek(self, ahead: int = 0) -> str:
        """The kind of a token to come."""
        return self.tokens[min(self.place + ahead, len(self.tokens) - 1)].kind

    def take(self) -> Token:
        """The next token."""
        self.place += 1
        return self.tokens[self.place - 1]

    def top(self) -> Node:
        """The whole text."""
        found = self.group(None)
        if self.peek() != "END":
            self.fail()
        return found or Nothing()

    def fail(self) -> Any:
        """Say where the text cannot be understood."""
        token = self.tokens[self.place]
        rest = repr(token.text) if token.text else "its end"
        raise QueryError(
            f"query_string {shown(self.text)}: did not expect {rest} at column {token.start + 1}; "
            "quote or escape special signs"
        )

    def refuse(self, reason: str) -> None:
        """Refuse the text for a part that is outside the subset."""
        raise QueryError(f"query_string {shown(self.text)}: {reason}")

    def group(self, path: str | None) -> Node | None:
        """Clauses up to a closing parenthesis or the end; None if no word is left of them."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise QueryError(f"query_string: parentheses nested deeper than {DEEPEST}")
        clauses: list[Clause] = []
        single = None
        count = 0
        while self.peek() not in ("END", "RPAREN") or not count:
            count += 1
            if self.at_words():
                clauses += self.words(path)
                continue
            conjunction = self.take().kind if count > 1 and self.peek() in ("AND", "OR") else ""
            modifier = self.take().kind if self.peek() in ("PLUS", "MINUS", "NOT") else ""
            node = self.clause(path)
            single = node if count == 1 and not modifier else None
            self.join(clauses, conjunction, modifier, node)
        self.depth -= 1
        if len(clauses) == 1 and single is not None:
            return single
        return grouped(clauses)

    def at_words(self) -> bool:
        """Whether two or more plain words follow that belong together."""
        return self.peek() == "TERM" == self.peek(1) and self.peek(2) not in NO_MULTI

    def words(self, path: str | None) -> list[Clause]:
        """Plain words without a sign between them, looked up together."""
        texts = [unescaped(self.take().text)]
        while self.peek() == "TERM" and self.peek(1) not in NO_MULTI:
            texts.append(unescaped(self.take().text))
        node = self.matching(path, " ".join(texts))
        if node is None:
            return []
        inner: tuple[Node, ...] = (node,)
        if isinstance(node, Bool) and len(self.named(path)) == 1:
            inner = node.must or node.should
        return [Clause(part, "should" if self.how.operator == "or" else "must") for part in inner]

    def join(self, clauses: list[Clause], conjunction: str, modifier: str, node: Node | None) -> None:
        """Add a clause as Lucene does: an operator also changes the clause before it."""
        if clauses and clauses[-1].occur != "must_not":
            if conjunction == "AND":
                clauses[-1].occur = "must"
            elif conjunction == "OR" and self.how.operator == "and":
                clauses[-1].occur = "should"
        if node is None:
            return
        required = modifier == "PLUS" or conjunction == "AND" if self.how.operator == "or" else conjunction != "OR"
        clauses.append(Clause(node, "must_not" if modifier in ("MINUS", "NOT") else "must" if required else "should"))

    def clause(self, path: str | None) -> Node | None:
        """One clause: a field's name perhaps, then a group or a term."""
        if self.peek() in ("TERM", "STAR", "WILDTERM", "PREFIXTERM") and self.peek(1) == "COLON":
            token = self.take()
            self.take()
            path = unescaped(token.text)
        if self.peek() == "LPAREN":
            self.take()
            found = self.group(path)
            if self.take().kind != "RPAREN":
                self.place -= 1
                self.fail()
        else:
            found = self.term(path)
        if self.peek() == "CARAT":
            self.take()
        return found

    def term(self, path: str | None) -> Node | None:
        """One term of any kind."""
        kind = self.peek()
        if kind not in TERMS:
            self.fail()
        token = self.take()
        if kind == "REGEX":
            self.refuse("regular expressions are not supported; quote a text that has slashes")
        slop = self.how.slop
        if self.peek() == "FUZZY":
            fuzzy = self.take()
            if kind != "QUOTED":
                self.refuse(f"fuzzy words (~) are not supported; use {token.text}*")
            slop = int(float(fuzzy.text[1:] or 0))
        return TERMS[kind](self, path, token.text, slop)

    def bare(self, path: str | None, text: str, slop: int) -> Node | None:
        """A plain word; with a field's name it may start with a comparison."""
        word = unescaped(text)
        if path is not None and path != "_exists_":
            sign = next((sign for sign in COMPARISONS if word.startswith(sign)), None)
            if sign is not None:
                bounds = COMPARISONS[sign](word[len(sign) :].strip())
                return self.each(path, lambda field: fields.between(field, bounds, self.how.dates))
        return self.matching(path, word)

    def matching(self, path: str | None, text: str) -> Node | None:
        """``text`` in a field or the default ones, by words where the field has words; None if it has none."""
        if path == "_exists_":
            return fields.present(names_path(text))
        return self.each(path, lambda field: self.in_field(field, text))

    def in_field(self, field: schema.Field, text: str) -> Node | None:
        """``text`` in one field."""
        if field.type != "match_only_text":
            return fields.equal(field, [text], self.how.dates)
        clauses = tuple(Terms(field.path, (word,)) for word in tokens(text))
        if not clauses:
            return None
        return any_of(clauses) if self.how.operator == "or" else all_of(clauses)

    def quoted(self, path: str | None, text: str, slop: int) -> Node | None:
        """A text in quotes: a phrase, or a whole value."""
        inner = unescaped(text[1:-1])
        if path == "_exists_":
            return fields.present(names_path(inner))
        return self.each(path, lambda field: self.phrase(field, inner, slop))

    def phrase(self, field: schema.Field, text: str, slop: int) -> Node | None:
        """A phrase in one field."""
        if field.type != "match_only_text":
            return fields.equal(field, [text], self.how.dates)
        words = tuple(tokens(text))
        if len(words) < 2:
            return Terms(field.path, words) if words else None
        return Phrase(field.path, words, slop)

    def wild(self, path: str | None, text: str, slop: int) -> Node | None:
        """A word with ``*`` or ``?``; a lone ``*`` asks for any value."""
        if text == "*":
            return All() if path in (None, "*") else fields.present(str(path))
        return self.each(path, lambda field: fields.like(field, lowered(field, text)))

    def span(self, path: str | None, text: str, slop: int) -> Node | None:
        """``[a TO b]`` or ``{a TO b}``."""
        match = RANGE.fullmatch(text)
        assert match is not None  # the lexer used the same rule  # noqa: S101
        low, high = (end(match[name]) for name in ("low", "high"))

        def bounds(field: schema.Field) -> Bounds:
            least, most = (None if value is None else lowered(field, value) for value in (low, high))
            return Bounds(least, most, match["open"] == "[", match["close"] == "]")

        return self.each(path, lambda field: fields.between(field, bounds(field), self.how.dates))

    def each(self, path: str | None, make: Callable[[schema.Field], Node | None]) -> Node | None:
        """What ``make`` gives for the named or the default fields, any of which may match."""
        found: list[Node] = []
        known = self.named(path)
        for field in known:
            try:
                node = make(field)
            except QueryError:
                if not self.how.lenient and "*" not in (path or ""):
                    raise
                continue
            found += [node] if node is not None else []
        return any_of(tuple(found)) if found else None if known else Nothing()

    def named(self, path: str | None) -> list[schema.Field]:
        """The fields that a clause looks in."""
        return [field for name in ((path,) if path is not None else self.how.fields) for field in targets(name)]


def targets(path: str) -> list[schema.Field]:
    """The fields that a name or pattern in a query string means."""
    name = names_path(unescaped(path))
    if "*" in name:
        return [field for field in fields.expanded(name) if field.type in fields.TEXTUAL]
    field = fields.lookup(name)
    return [field] if field else []


def names_path(name: str) -> str:
    """A field's path from the name that a query string uses."""
    return name


def lowered(field: schema.Field, text: str) -> str:
    """A text that is not cut into words, in the case that the field keeps."""
    return text.lower() if field.type == "match_only_text" else text


def end(text: str) -> str | None:
    """One end of a range; ``*`` is open."""
    if text.startswith('"'):
        return unescaped(text[1:-1])
    return None if text == "*" else unescaped(text)


def grouped(clauses: list[Clause]) -> Node | None:
    """A group's clauses as one node; None if there are none."""
    if not clauses:
        return None
    by = {occur: tuple(c.node for c in clauses if c.occur == occur) for occur in ("must", "should", "must_not")}
    return Bool(by["must"], by["should"], by["must_not"], 1 if by["should"] and not by["must"] else 0)


COMPARISONS: dict[str, Callable[[str], Bounds]] = {
    ">=": lambda value: Bounds(low=value),
    "<=": lambda value: Bounds(high=value),
    ">": lambda value: Bounds(low=value, low_included=False),
    "<": lambda value: Bounds(high=value, high_included=False),
}
TERMS: dict[str, Callable[[Parser, str | None, str, int], Node | None]] = {
    "TERM": Parser.bare,
    "BAREOPER": Parser.bare,
    "QUOTED": Parser.quoted,
    "PREFIXTERM": Parser.wild,
    "WILDTERM": Parser.wild,
    "STAR": Parser.wild,
    "RANGE": Parser.span,
    "REGEX": Parser.wild,
}
