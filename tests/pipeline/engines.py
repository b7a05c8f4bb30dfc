"""The engines that golden cases run on; each takes all cases at once and gives an answer for each."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.contract import contract, masking_rules, rule
from python_shipper.core.clock import parsed_ms
from python_shipper.core.masking import Masker
from tests.pipeline import real_logstash
from tests.pipeline.case import Case
from tests.stack import obtain

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "logstash" / "pipeline" / "scripts" / "normalize.rb"
SHIM = Path(__file__).parent / "shim.rb"
Answer = dict[str, Any]


def python(cases: Sequence[Case]) -> list[Answer]:
    """The agent's pipeline."""
    return [as_stored(pipeline(case).process(case.raw, Source(**case.file), parsed_ms(case.now))) for case in cases]


def pipeline(case: Case) -> Pipeline:
    """A pipeline with the case's settings."""
    rules = masking_rules() if case.rules is None else tuple(rule(**spec) for spec in case.rules)
    masker = Masker(rules, contract(), case.hash_key.encode() if case.hash_key else None)
    return Pipeline(masker, services=case.services)


def as_stored(routed: Any) -> Answer:
    """What the store would read: the document after a trip through JSON."""
    answer = {"index": routed.index, "id": routed.id, "document": routed.document}
    return json.loads(json.dumps(answer))  # type: ignore[no-any-return]


def ruby(cases: Sequence[Case], command: Sequence[str] = ("ruby",)) -> list[Answer]:
    """The Logstash script under ``command``, with a small Event in place of Logstash's."""
    with tempfile.TemporaryDirectory() as folder:
        questions = "\n".join(json.dumps(question(case, Path(folder))) for case in cases)
        done = subprocess.run(
            [*command, SHIM], input=questions, text=True, capture_output=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.split("\n") if line]  # not splitlines: U+2028 is no end


def jruby(cases: Sequence[Case]) -> list[Answer]:
    """The same under the Ruby that Logstash runs on."""
    jar = obtain.part("jruby", lambda: obtain.maven(obtain.JRUBY))
    program = obtain.part("jruby", obtain.java) / "bin" / "java"
    return ruby(cases, (str(program), "-Xmx1g", "-jar", str(jar)))


def logstash(cases: Sequence[Case]) -> list[Answer]:
    """A real Logstash."""
    with tempfile.TemporaryDirectory(prefix="logstash-rules-") as folder:
        return real_logstash.answers(cases, [params(case, Path(folder)) for case in cases])


def question(case: Case, folder: Path) -> dict[str, Any]:
    """One line for shim.rb."""
    raw = base64.b64encode(case.raw).decode()
    return {"script": str(SCRIPT), "now": case.now, "raw": raw, "file": case.file, "params": params(case, folder)}


def params(case: Case, folder: Path) -> dict[str, str]:
    """``script_params`` of the case, its own rules and key written to files in ``folder``."""
    given = {"services": case.services or ""}
    if case.rules is not None:
        own = folder / case.name
        own.mkdir()
        shutil.copy(ROOT / "python_shipper" / "contract" / "fields.yml", own)
        (own / "masking.yml").write_text(json.dumps({"rules": case.rules}, ensure_ascii=False))
        given["contract"] = str(own)
    if case.hash_key is not None:
        (folder / f"{case.name}.key").write_text(case.hash_key)
        given["hash_key_file"] = str(folder / f"{case.name}.key")
    return given
