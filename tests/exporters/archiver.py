"""A program that archives, or restores, every day with small files, and can be killed at any moment.

archiver.py archive|restore    (settings from the environment)
"""

from __future__ import annotations

import sys
from contextlib import closing

from python_shipper.exporters.archive import Archive, archived, closed, workplace
from python_shipper.exporters.delivery import Limits
from python_shipper.exporters.s3 import Bucket
from python_shipper.settings import Settings
from python_shipper.stack.shelves import EmbeddedShelf
from python_shipper.store.tantivy import TantivyStore

PART_BYTES = 5_242_880


def main(what: str) -> None:
    settings = Settings.from_environment()
    with (
        closing(Bucket(settings, PART_BYTES)) as bucket,
        closing(TantivyStore.open(settings.data_dir)) as store,
        workplace(settings.data_dir) as place,
    ):
        limits = Limits(items=4, bytes=1 << 40, first_pause_seconds=0.1, most_pause_seconds=1.0)
        archive = Archive(bucket, place, rows_a_part=1_000, limits=limits)
        if what == "archive":
            for partition, documents in closed(store, (), ()):
                archive.store(store, partition, documents)
        else:
            for partition in archive.patiently(lambda: archived(bucket)):
                archive.restore(partition, EmbeddedShelf(settings.data_dir))


if __name__ == "__main__":
    main(sys.argv[1])
