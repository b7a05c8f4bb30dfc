"""The nodes of a query as tantivy's own, for one day's index; a column the day does not have matches nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tantivy
from tantivy import Occur, Query

from python_shipper.errors import QueryError
from python_shipper.store import nodes

TYPES = {
    "integer": tantivy.FieldType.Integer,
    "float": tantivy.FieldType.Float,
    "ip": tantivy.FieldType.IpAddr,
}
UNREADABLE = re.compile(r"""[\s{}"\[\]()]|\A[`*-]""")  # what the ends of a range in tantivy's syntax cannot hold
MOST_TERMS = 100_000


@dataclass(frozen=True, slots=True)
class Compiler:
    """Translates for one index, whose columns are ``columns``."""

    index: tantivy.Index
    searcher: tantivy.Searcher
    columns: frozenset[str]

    @property
    def schema(self) -> tantivy.Schema:
        """The index's own schema, which may be older than the mapping."""
        return self.index.schema

    def query(self, node: nodes.Node) -> Query:
        """The tantivy query that finds what ``node`` finds.

        Raises:
            QueryError: an expression is too large for the engine.
        """
        column = getattr(node, "column", None)
        if column is not None and column not in self.columns:
            return Query.empty_query()
        return TRANSLATIONS[type(node)](self, node)

    def everything(self, node: nodes.All) -> Query:
        return Query.all_query()

    def nothing(self, node: nodes.Nothing) -> Query:
        return Query.empty_query()

    def terms(self, node: nodes.Terms) -> Query:
        if len(node.values) == 1:
            return Query.term_query(self.schema, node.column, node.values[0], "basic")
        return Query.term_set_query(self.schema, node.column, list(node.values))

    def phrase(self, node: nodes.Phrase) -> Query:
        return Query.phrase_query(self.schema, node.column, list(node.words), node.slop)

    def pattern(self, node: nodes.Pattern) -> Query:
        try:
            return Query.regex_query(self.schema, node.column, node.regex)
        except ValueError as error:
            raise QueryError(f"{node.column}: this text is too long or complex to search by prefix or range") from error

    def span(self, node: nodes.Span) -> Query:
        ends = (node.low or "", node.high or "")
        if any(UNREADABLE.search(node.prefix + end) for end in ends):
            return self.listed_span(node)
        low, high = (node.prefix + end for end in ends)
        if node.high is None:
            high = node.prefix[:-1] + "\1" if node.prefix else "*"
        opening = "[" if node.low is None or node.low_included else "{"
        closing = "]" if node.high is not None and node.high_included else "}"
        if node.high == "" and not node.prefix:
            return self.listed_span(node)
        return self.index.parse_query(f"{node.column}:{opening}{low or '*'} TO {high}{closing}")

    def listed_span(self, node: nodes.Span) -> Query:
        """A span whose ends tantivy's query syntax cannot say, by the list of the column's values."""
        terms = self.searcher.terms_with_prefix(node.column, node.prefix, limit=MOST_TERMS)
        if len(terms) >= MOST_TERMS:
            raise QueryError(f"{node.column}: too many values for a range whose ends hold blanks or brackets")
        return Query.term_set_query(self.schema, node.column, [value for value, _ in terms if node.holds(value)])

    def interval(self, node: nodes.Interval) -> Query:
        return Query.range_query(self.schema, node.column, TYPES[node.kind], node.low, node.high)

    def present(self, node: nodes.Present) -> Query:
        return Query.exists_query(node.column)

    def boolean(self, node: nodes.Bool) -> Query:
        clauses = [(Occur.Must, self.query(inner)) for inner in node.must]
        if node.minimum > len(node.should):
            return Query.empty_query()
        if node.minimum > 0:
            clauses.append((Occur.Must, self.at_least(node.should, node.minimum)))
        if not clauses:
            clauses.append((Occur.Must, Query.all_query()))
        clauses += [(Occur.MustNot, self.query(inner)) for inner in node.must_not]
        return Query.boolean_query(clauses)

    def at_least(self, should: tuple[nodes.Node, ...], minimum: int) -> Query:
        """At least ``minimum`` of the optional clauses."""
        return Query.boolean_query([(Occur.Should, self.query(inner)) for inner in should], minimum)


TRANSLATIONS: dict[type, Callable[[Compiler, Any], Query]] = {
    nodes.All: Compiler.everything,
    nodes.Nothing: Compiler.nothing,
    nodes.Terms: Compiler.terms,
    nodes.Phrase: Compiler.phrase,
    nodes.Pattern: Compiler.pattern,
    nodes.Span: Compiler.span,
    nodes.Interval: Compiler.interval,
    nodes.Present: Compiler.present,
    nodes.Bool: Compiler.boolean,
}
