"""Elasticsearch's query DSL, the subset of this package, understood once for both engines.

:func:`parse` gives the nodes of :mod:`~python_shipper.store.nodes`. The embedded store runs them; before a request goes
to Elasticsearch it is parsed all the same, so that both engines refuse the same requests with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import fields, query_string
from python_shipper.store.analysis import tokens
from python_shipper.store.fields import Bounds, Dates
from python_shipper.store.minimum import minimum_should_match
from python_shipper.store.nodes import All, Bool, Node, Nothing, Phrase, Terms, all_of, any_of

Body = Mapping[str, Any]
NAMING = {"boost", "_name"}  # accepted everywhere, without effect: hits are never scored
DEEPEST = 30


def parse(body: Any, now_ms: int, depth: int = 0) -> Node:
    """The node for one query object, ``{"<kind>": {…}}``; None means every document.

    Raises:
        QueryError: malformed, or outside the subset.
    """
    if body is None:
        return All()
    if depth > DEEPEST:
        raise QueryError(f"query: nested deeper than {DEEPEST} levels")
    kind, content = only(body, "query")
    if kind not in KINDS:
        raise QueryError(f"unknown or unsupported query [{kind}]; supported: {', '.join(sorted(KINDS))}")
    return KINDS[kind](content, Context(now_ms, depth + 1))


@dataclass(frozen=True, slots=True)
class Context:
    """What a query is read with."""

    now_ms: int
    depth: int

    def inner(self, body: Any) -> tuple[Node, ...]:
        """The nodes of a clause that takes one query or a list of them."""
        found = body if isinstance(body, list) else [body]
        return tuple(parse(query, self.now_ms, self.depth) for query in found)

    @property
    def dates(self) -> Dates:
        """How this query's dates are read."""
        return Dates(self.now_ms)


def only(body: Any, what: str) -> tuple[str, Any]:
    """The one key and its value of an object that must have exactly one."""
    if not isinstance(body, Mapping) or len(body) != 1:
        raise QueryError(f"{what}: expected an object with exactly one key, got {shortened(body)}")
    return next(iter(body.items()))


def shortened(value: Any) -> str:
    """A value for an error message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def checked(body: Any, kind: str, known: set[str]) -> Body:
    """An object with no other parameters than ``known`` and those without effect."""
    if not isinstance(body, Mapping):
        raise QueryError(f"[{kind}]: expected an object, got {shortened(body)}")
    unknown = sorted(set(body) - known - NAMING)
    if unknown:
        raise QueryError(f"[{kind}] query does not support [{unknown[0]}]")
    return body


def match_all(body: Any, context: Context) -> Node:
    checked(body, "match_all", set())
    return All()


def match_none(body: Any, context: Context) -> Node:
    checked(body, "match_none", set())
    return Nothing()


def boolean(body: Any, context: Context) -> Node:
    known = {"must", "filter", "should", "must_not", "minimum_should_match", "adjust_pure_negative"}
    found = checked(body, "bool", known)
    must, filtered, should, must_not = (
        context.inner(found.get(k, [])) for k in ("must", "filter", "should", "must_not")
    )
    if not (must or filtered or should or must_not):
        return All()
    least = minimum_should_match(found.get("minimum_should_match"), len(should))
    if least == 0 and should and not (must or filtered):
        least = 1
    return Bool(must + filtered, should, must_not, least)


def one_field(body: Any, kind: str, shorthand: str, known: set[str]) -> tuple[str, Body]:
    """The field's name and the parameters of a query of the form ``{"<field>": {…} or value}``."""
    if not isinstance(body, Mapping):
        raise QueryError(f"[{kind}]: expected an object with a field's name, got {shortened(body)}")
    named = {name: value for name, value in body.items() if name not in NAMING}
    path, content = only(named, f"[{kind}]")
    if isinstance(content, Mapping):
        return path, checked(content, kind, known | {shorthand})
    if isinstance(content, list):
        raise QueryError(f"[{kind}] unknown token [START_ARRAY] after [{path}]")
    return path, {shorthand: content}


def needed(content: Body, name: str, kind: str) -> Any:
    """The value of a parameter that must be there."""
    if content.get(name) is None:
        raise QueryError(f"[{kind}]: needs a [{name}] that is not null")
    return content[name]


def term(body: Any, context: Context) -> Node:
    path, content = one_field(body, "term", "value", {"case_insensitive"})
    value = needed(content, "value", "term")
    field = fields.lookup(path)
    if field is None:
        return Nothing()
    if flag(content, "case_insensitive"):
        return fields.same_letters(field, value)
    return fields.equal(field, [value], context.dates)


def terms(body: Any, context: Context) -> Node:
    path, values = only({k: v for k, v in mapping(body, "terms").items() if k not in NAMING}, "[terms]")
    if not isinstance(values, list):
        raise QueryError(f"[terms]: [{path}] needs a list of values (lookups are not supported)")
    if any(value is None for value in values):
        raise QueryError(f"[terms]: no null allowed in the values of [{path}]")
    field = fields.lookup(path)
    return fields.equal(field, values, context.dates) if field and values else Nothing()


def mapping(body: Any, kind: str) -> Body:
    """An object."""
    if not isinstance(body, Mapping):
        raise QueryError(f"[{kind}]: expected an object, got {shortened(body)}")
    return body


def flag(content: Body, name: str, default: bool = False) -> bool:
    """A boolean parameter."""
    value = content.get(name, default)
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise QueryError(f"[{name}]: expected true or false, got {value!r}")
    return value


def match(body: Any, context: Context) -> Node:
    known = {"operator", "minimum_should_match", "zero_terms_query", "lenient", "auto_generate_synonyms_phrase_query"}
    path, content = one_field(body, "match", "query", known)
    value = needed(content, "query", "match")
    operator = str(content.get("operator", "or")).lower()
    if operator not in ("or", "and"):
        raise QueryError(f"[match] operator: expected or, and; got {operator!r}")
    return matched(path, value, content, context, operator)


def matched(path: str, value: Any, content: Body, context: Context, operator: str) -> Node:
    """The words of ``value`` in an analysed field, or ``value`` itself in another."""
    field = fields.lookup(path)
    if field is None:
        return Nothing()
    if field.type != "match_only_text":
        return leniently(content, lambda: fields.equal(field, [value], context.dates))
    words = tokens(fields.text(value, field))
    if not words:
        return zero_terms(content)
    clauses = tuple(Terms(field.path, (word,)) for word in words)
    if operator == "and":
        return all_of(clauses)
    least = minimum_should_match(content.get("minimum_should_match"), len(clauses))
    return Bool(should=clauses, minimum=max(least, 1)) if least > 1 else any_of(clauses)


def leniently(content: Body, make: Callable[[], Node]) -> Node:
    """What ``make`` gives; with ``lenient`` a value of the wrong type finds nothing."""
    try:
        return make()
    except QueryError:
        if flag(content, "lenient"):
            return Nothing()
        raise


def zero_terms(content: Body) -> Node:
    """What a text without any word finds."""
    choice = str(content.get("zero_terms_query", "none")).lower()
    if choice not in ("none", "all"):
        raise QueryError(f"zero_terms_query: expected none or all, got {choice!r}")
    return All() if choice == "all" else Nothing()


def match_phrase(body: Any, context: Context) -> Node:
    path, content = one_field(body, "match_phrase", "query", {"slop", "zero_terms_query"})
    value = needed(content, "query", "match_phrase")
    field = fields.lookup(path)
    if field is None:
        return Nothing()
    if field.type != "match_only_text":
        return fields.equal(field, [value], context.dates)
    words = tuple(tokens(fields.text(value, field)))
    if not words:
        return zero_terms(content)
    slop = whole(content.get("slop", 0), "slop")
    return Phrase(field.path, words, slop) if len(words) > 1 else Terms(field.path, words)


def whole(value: Any, name: str) -> int:
    """A parameter that is a whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise QueryError(f"[{name}]: expected a whole number of at least 0, got {value!r}")
    return value


def range_(body: Any, context: Context) -> Node:
    known = {"gt", "gte", "lt", "lte", "format", "time_zone", "relation"}
    path, content = one_field(body, "range", "", known)
    if "" in content:
        raise QueryError(f"[range]: [{path}] needs an object with gt, gte, lt or lte")
    if str(content.get("relation", "intersects")).lower() != "intersects":
        raise QueryError("[range]: relation is for range fields, of which there are none")
    field = fields.lookup(path)
    if field is None:
        return Nothing()
    low, low_included = bound(content, "gte", "gt")
    high, high_included = bound(content, "lte", "lt")
    when = Dates(context.now_ms, content.get("format"), content.get("time_zone"))
    return fields.between(field, Bounds(low, high, low_included, high_included), when)


def bound(content: Body, included: str, excluded: str) -> tuple[Any, bool]:
    """One end of a range, and whether it belongs to it; of both names the later one counts, as in Elasticsearch."""
    names = [name for name in content if name in (included, excluded)]
    return (content[names[-1]], names[-1] == included or content[names[-1]] is None) if names else (None, True)


def prefix(body: Any, context: Context) -> Node:
    path, content = one_field(body, "prefix", "value", {"case_insensitive", "rewrite"})
    value = needed(content, "value", "prefix")
    field = fields.lookup(path)
    return fields.starting(field, value, flag(content, "case_insensitive")) if field else Nothing()


def exists(body: Any, context: Context) -> Node:
    path = needed(checked(body, "exists", {"field"}), "field", "exists")
    return fields.present(str(path))


def ids(body: Any, context: Context) -> Node:
    values = needed(checked(body, "ids", {"values"}), "values", "ids")
    wanted = tuple(str(value) for value in (values if isinstance(values, list) else [values]))
    return Terms(fields.META["_id"].path, wanted) if wanted else Nothing()


def query_string_(body: Any, context: Context) -> Node:
    return query_string.parse(checked(body, "query_string", query_string.PARAMETERS), context.dates)


KINDS: dict[str, Callable[[Any, Context], Node]] = {
    "match_all": match_all,
    "match_none": match_none,
    "bool": boolean,
    "term": term,
    "terms": terms,
    "match": match,
    "match_phrase": match_phrase,
    "range": range_,
    "prefix": prefix,
    "exists": exists,
    "ids": ids,
    "query_string": query_string_,
}
