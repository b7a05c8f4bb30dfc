"""Marks in a hit what a query found, as Elasticsearch's `unified` highlighter does with its defaults.

A text is cut into passages of about ``fragment_size`` characters at the ends of sentences, or of words where a sentence
is longer; the first ``number_of_fragments`` of those with a match are shown (Elasticsearch shows the best).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import fields, query, schema
from python_shipper.store.analysis import analyzer
from python_shipper.store.nodes import Bool, Node, Pattern, Phrase, Span, Terms

OPTIONS = {
    "fields", "pre_tags", "post_tags", "number_of_fragments", "fragment_size", "require_field_match", "type",
    "encoder", "no_match_size", "order",
}  # fmt: skip
# Where a sentence ends: after ! ? and their wide forms, or after a full stop and blanks that no small letter follows.
SENTENCE = re.compile(r"[!?。！？]+[)\]}\"'»”’]*\s*|[.．]+[)\]}\"'»”’]*\s+(?=[(\[{\"'«“‘]*[^a-zß-öø-ÿ\s])")
WORD = re.compile(r"[^\W_]+(?:[.'’,][^\W_]+)*|\s|[^\w\s]|_")
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "/": "&#x2F;"})
TEXTUAL = ("keyword", "wildcard", "match_only_text")


@dataclass(frozen=True, slots=True)
class Style:
    """How one field is shown; without fragments the whole value is."""

    before: str
    after: str
    fragments: int
    size: int
    same_field: bool
    escape: bool
    no_match_size: int


@dataclass(frozen=True, slots=True)
class Highlighter:
    """The fields to show, and the conditions of the query that can be seen in a text."""

    styles: dict[str, Style]
    conditions: tuple[Terms | Phrase | Pattern | Span, ...]

    @classmethod
    def make(cls, body: Any, node: Node) -> Highlighter:
        """From the ``highlight`` object of a request.

        Raises:
            QueryError: malformed, or outside the subset.
        """
        common = query.checked(body, "highlight", OPTIONS)
        listed = query.needed(common, "fields", "highlight")
        pairs = [
            pair
            for one in (listed if isinstance(listed, list) else [listed])
            for pair in query.mapping(one, "fields").items()
        ]
        shared = {name: value for name, value in common.items() if name != "fields"}
        styles = {str(path): style({**shared, **query.checked(own, "highlight", OPTIONS)}) for path, own in pairs}
        return cls(styles, tuple(conditions(node)))

    def show(self, source: Mapping[str, Any]) -> dict[str, list[str]]:
        """The highlighted passages of a document, by field."""
        shown = {}
        for pattern, how in self.styles.items():
            for field in fields.expanded(pattern):
                if field.type in TEXTUAL and field.path not in shown and (found := self.field(field, how, source)):
                    shown[field.path] = found
        return shown

    def field(self, field: schema.Field, how: Style, source: Mapping[str, Any]) -> list[str]:
        """The passages of one field."""
        values = [value for value in values_at(source, field.path) if isinstance(value, str)]
        mine = [one for one in self.conditions if one.column == field.path or not how.same_field]
        found = [passage for value in values for passage in passages(value, marks(field, value, mine), how)]
        if not found and values and how.no_match_size:
            return [no_match(values[0], how)]
        return found[: how.fragments] if how.fragments else found


def style(options: Mapping[str, Any]) -> Style:
    """The options of one field."""
    if options.get("type", "unified") != "unified" or options.get("encoder", "default") not in ("default", "html"):
        raise QueryError("highlight: type must be unified, and encoder default or html")
    if options.get("order", "none") != "none":
        raise QueryError("highlight: order by score is not supported")
    before, after = (
        options.get(name, [default])[0] for name, default in (("pre_tags", "<em>"), ("post_tags", "</em>"))
    )
    return Style(
        str(before),
        str(after),
        query.whole(options.get("number_of_fragments", 5), "number_of_fragments"),
        query.whole(options.get("fragment_size", 100), "fragment_size"),
        query.flag(options, "require_field_match", True),
        options.get("encoder") == "html",
        query.whole(options.get("no_match_size", 0), "no_match_size"),
    )


def conditions(node: Node) -> Iterator[Terms | Phrase | Pattern | Span]:
    """The conditions on texts that a hit may fulfil; what must not match is never shown."""
    if isinstance(node, Bool):
        for inner in (*node.must, *node.should):
            yield from conditions(inner)
    elif isinstance(node, Terms | Phrase | Pattern | Span):
        yield node


def values_at(source: Any, path: str) -> Iterator[Any]:
    """The values at a path, whether its names are nested, dotted, or in lists."""
    if isinstance(source, list):
        for element in source:
            yield from values_at(element, path)
    elif not path:
        yield source
    elif isinstance(source, Mapping):
        for name, value in source.items():
            if path == name or path.startswith(f"{name}."):
                yield from values_at(value, path[len(name) + 1 :])


def marks(field: schema.Field, text: str, found: list[Any]) -> list[tuple[int, int]]:
    """The places in ``text`` that conditions match, in order, none inside another."""
    if field.type != "match_only_text":
        return [(0, len(text))] if any(holds(one, text) for one in found) else []
    words = [
        (token.text, token.char_offset_from, token.char_offset_to) for token in analyzer().pre_tokenize(text).tokens
    ]
    places = sorted(place for one in found for place in in_words(one, words))
    kept: list[tuple[int, int]] = []
    for start, end in places:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
        elif end > kept[-1][1]:
            kept[-1] = (kept[-1][0], end)
    return kept


def holds(condition: Any, text: str) -> bool:
    """Whether a whole value or word fulfils a condition."""
    if isinstance(condition, Terms):
        return text in condition.values
    if isinstance(condition, Pattern):
        return re.fullmatch(condition.regex, text) is not None
    return isinstance(condition, Span) and condition.holds(text)


def in_words(condition: Any, words: list[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    """The places of a condition among the words of a text: single words, or the span of a phrase."""
    if not isinstance(condition, Phrase):
        yield from ((start, end) for word, start, end in words if holds(condition, word))
        return
    length = len(condition.words) + condition.slop
    for place, (word, start, _) in enumerate(words):
        window = words[place : place + length]
        last = phrase_end(condition.words, [one for one, _, _ in window])
        if word == condition.words[0] and last is not None:
            yield start, window[last][2]


def phrase_end(wanted: tuple[str, ...], words: list[str]) -> int | None:
    """The place of the last of ``wanted`` when they are taken in order from ``words``; None if one is not there."""
    place = -1
    for word in wanted:
        if word not in words[place + 1 :]:
            return None
        place = words.index(word, place + 1)
    return place


def passages(text: str, places: list[tuple[int, int]], how: Style) -> Iterator[str]:
    """The passages of ``text`` around the marked places."""
    if not places:
        return
    if not how.fragments:
        yield marked(text, 0, len(text), places, how)
        return
    sentences, words, end, start = ends(SENTENCE, text), ends(WORD, text), 0, 0
    waiting: list[tuple[int, int]] = []
    for place in places:
        if place[0] >= end:
            if waiting:
                yield marked(text, start, end, waiting, how).strip()
            start, end = window(place[0], end, how.size, sentences, words)
            waiting = []
        waiting.append(place)
    yield marked(text, start, max(end, waiting[-1][1]), waiting, how).strip()


def ends(rule: re.Pattern[str], text: str) -> list[int]:
    """The places at which a piece of ``text`` starts or ends, the first and the last among them."""
    return sorted({0, *(match.end() for match in rule.finditer(text)), len(text)})


def window(place: int, least: int, size: int, sentences: list[int], words: list[int]) -> tuple[int, int]:
    """The passage that holds ``place``: whole sentences up to ``size``, or words where one sentence is longer."""
    at = bisect_right(sentences, place)
    start, end = max(sentences[at - 1], least), sentences[min(at, len(sentences) - 1)]
    for later in sentences[at + 1 :]:
        if later - start > size:
            break
        end = later
    if end - start <= size:
        return start, end
    if place + 1 - size > start:
        start = max(start, words[bisect_left(words, place + 1 - size) - 1])
    rest = place + 1 + max(0, size - (place + 1 - start))
    if rest < end:
        end = min(end, words[min(bisect_right(words, rest), len(words) - 1)])
    return start, end


def marked(text: str, start: int, end: int, places: list[tuple[int, int]], how: Style) -> str:
    """A passage with tags around the places."""
    parts, at = [], start
    for first, last in places:
        parts += [shown(text[at:first], how), how.before, shown(text[first:last], how), how.after]
        at = last
    return "".join([*parts, shown(text[at:end], how)])


def shown(text: str, how: Style) -> str:
    """A piece of text, escaped if asked for."""
    return text.translate(ENTITIES) if how.escape else text


def no_match(text: str, how: Style) -> str:
    """The beginning of a text that has no match."""
    words = ends(WORD, text)
    return shown(text[: words[min(bisect_right(words, how.no_match_size), len(words) - 1)]], how).strip()
