"""Precision and recall of every masking rule, on the corpus of the tests and on real logs where they are present.

    python benchmarks/masking.py [--logs ../shared/data/loghub_2k]

Recall: the share of the marked parts of a rule's texts that the rule set replaces. Precision: of what a rule, applied
alone, replaces in the whole corpus (its own texts and all look-alikes), the share that was marked for it. The real logs
hold next to no personal data: what is replaced in them is listed for reading.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path
from typing import Any

import yaml

from python_shipper.contract import Rule, contract, masking_rules
from python_shipper.core.masking import Masker

CORPUS = Path(__file__).parents[1] / "tests" / "core" / "masking_corpus.yml"
MARKED = re.compile("⟦([^⟧]*)⟧")


def corpus() -> dict[str, Any]:
    """The corpus file."""
    data: dict[str, Any] = yaml.safe_load(CORPUS.read_text(encoding="utf-8"))
    return data


def unmarked(text: str) -> str:
    return text.replace("⟦", "").replace("⟧", "")


def found(masker: Masker, text: str) -> int:
    """How many marked parts of ``text`` are gone after masking, all else unchanged."""
    masked = masker.text(unmarked(text))
    between = MARKED.split(text)[::2]
    shape = "(.*)".join(map(re.escape, between))
    match = re.fullmatch(shape, masked, re.DOTALL)
    parts = MARKED.findall(text)
    return sum(kept != part for kept, part in zip(match.groups(), parts, strict=True)) if match else 0


def score(rule: Rule, data: dict[str, Any]) -> tuple[int, int, int]:
    """Parts marked for ``rule``, those that the rule set finds, and look-alikes that the rule alone changes."""
    every, alone = Masker(masking_rules(), contract(), None), Masker([rule], contract(), None)
    texts = [*data["positives"].get(rule.name, []), *data["known_missed"].get(rule.name, [])]
    look_alikes = [text for kind in ("look_alikes", "known_wrong") for texts in data[kind].values() for text in texts]
    marked = sum(len(MARKED.findall(text)) for text in texts)
    wrong = sum(alone.text(text) != text for text in look_alikes)
    return marked, sum(found(every, text) for text in texts), wrong


def table(data: dict[str, Any]) -> None:
    print(f"{'rule':30} {'marked':>6} {'found':>6} {'wrong':>6} {'recall':>7} {'precision':>9}")
    total = [0, 0, 0]
    for rule in masking_rules():
        counts = score(rule, data)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        row(rule.name, *counts)
    row("all", *total)
    kinds = ("look_alikes", "known_wrong")
    print(f"{sum(len(texts) for kind in kinds for texts in data[kind].values())} look-alikes")


def row(name: str, marked: int, hits: int, wrong: int) -> None:
    precision = hits / (hits + wrong) if hits + wrong else 1.0
    print(f"{name:30} {marked:6} {hits:6} {wrong:6} {hits / marked:7.1%} {precision:9.1%}")


def real_logs(folder: Path) -> None:
    masker = Masker(masking_rules(), contract(), None)
    for path in sorted(folder.glob("*.log.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n") for line in file]
        changed = [(line, masker.text(line)) for line in lines if masker.text(line) != line]
        print(f"{path.name:24} {len(lines):6} lines, {len(changed):5} changed")
        for line, masked in changed[:2]:
            print(f"    {line[:150]}\n    {masked[:150]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path)
    options = parser.parse_args()
    table(corpus())
    if options.logs:
        real_logs(options.logs)


if __name__ == "__main__":
    main()
