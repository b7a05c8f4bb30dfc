"""The aggregations of the subset, by Elasticsearch's names."""

from python_shipper.store.aggregations import Maker
from python_shipper.store.buckets import Filters, Terms
from python_shipper.store.histograms import date_histogram, histogram
from python_shipper.store.metrics import Cardinality, Percentiles, Stats, ValueCount

KINDS: dict[str, Maker] = {
    "terms": Terms.make,
    "histogram": histogram,
    "date_histogram": date_histogram,
    "filters": Filters.make,
    "stats": Stats.make,
    "min": Stats.make,
    "max": Stats.make,
    "avg": Stats.make,
    "sum": Stats.make,
    "value_count": ValueCount.make,
    "cardinality": Cardinality.make,
    "percentiles": Percentiles.make,
}
