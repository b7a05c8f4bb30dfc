"""Golden cases on a real Logstash: LOGSTASH_HOME's, else the official image where Docker has it.

Our filter files run as they are between standard input and a file; one more filter writes down what the output would
be given. Logstash is started once for each clock and set of masking rules, so cases share both where they can.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.pipeline.case import Case

ROOT = Path(__file__).parent.parent.parent
FILTERS = ("20_plain_text.conf", "50_normalize.conf")
INPUT = "input { stdin { codec => json_lines } }\n"
# The document by the event's own serialiser, which is what every output uses.
ANSWER = """
filter { ruby { code => '
  answer = [event.get("[@metadata][index]").to_json, event.get("[@metadata][id]").to_json, event.to_json]
  event.set("[@metadata][answer]", "[" + answer.join(",") + "]")
' } }
output { file { path => "%s" codec => line { format => "%%{[@metadata][answer]}" } } }
"""
# Since 9.0 root is refused unless this is said; the image has a user of its own.
SETTINGS = "pipeline.ecs_compatibility: v8\npipeline.ordered: true\nallow_superuser: true\n"
SECONDS = 600


@functools.cache
def missing() -> str | None:
    """Why there is no Logstash here, or None."""
    return None if home() or image() else "LOGSTASH_HOME names no Logstash, and Docker has no image of it"


def home() -> Path | None:
    """The Logstash that LOGSTASH_HOME names."""
    given = os.environ.get("LOGSTASH_HOME")
    return Path(given) if given and Path(given, "bin", "logstash").exists() else None


def image() -> str | None:
    """The official image of the stack's version, if Docker has it already."""
    if not shutil.which("docker"):
        return None
    lines = (ROOT / ".env.example").read_text().splitlines()
    name = "logstash:" + next(line.partition("=")[2] for line in lines if line.startswith("STACK_VERSION="))
    done = subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=60, check=False)
    return name if done.returncode == 0 else None


def answers(cases: Sequence[Case], params: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The answer to each case; ``params`` are the script's parameters of each."""
    found: dict[str, dict[str, Any]] = {}
    together = sorted(zip(cases, params, strict=True), key=setting)
    for _, group in itertools.groupby(together, key=setting):
        members = list(group)
        given = [case for case, _ in members]
        found |= dict(zip((case.name for case in given), run(given, members[0][1]), strict=True))
    return [found[case.name] for case in cases]


def setting(member: tuple[Case, dict[str, str]]) -> str:
    """What has to be the same for two cases to share one run."""
    case, _ = member
    return json.dumps([case.now, case.rules, case.hash_key, case.services])


def run(cases: Sequence[Case], params: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One Logstash from start to end."""
    with tempfile.TemporaryDirectory(prefix="logstash-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o777)
        (folder / "config").mkdir()
        (folder / "config" / "logstash.yml").write_text(SETTINGS)
        parts = [(ROOT / "logstash" / "pipeline" / name).read_text() for name in FILTERS]
        (folder / "all.conf").write_text(INPUT + "".join(parts) + ANSWER % (folder / "answers"))
        lines = "".join(json.dumps(event(case)) + "\n" for case in cases)
        done = subprocess.run(
            command(folder, environment(cases[0], params)), input=lines, text=True, capture_output=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
        for line in filter(None, (folder / "answers").read_text().split("\n")):  # not splitlines: U+2028 is no end
            index, document_id, document = json.loads(line)
            yield {"index": index, "id": document_id, "document": document}


def event(case: Case) -> dict[str, Any]:
    """What Filebeat would send: text, each invalid byte replaced, without its newline."""
    file = {"path": case.file["path"], "fingerprint": case.file["fingerprint"]}
    text = case.raw.decode("utf-8", "shipper-each-byte").removesuffix("\n").removesuffix("\r")
    return {"message": text, "log": {"file": file, "offset": case.file["offset"]}}


def environment(case: Case, params: dict[str, str]) -> dict[str, str]:
    """The variables that our files read."""
    return {
        "SHIPPER_NOW": case.now,
        "SCRIPTS_DIR": str(ROOT / "logstash" / "pipeline" / "scripts"),
        "CONTRACT_DIR": params.get("contract", str(ROOT / "python_shipper" / "contract")),
        "ILM_DIR": str(ROOT / "ilm_policies"),
        "LOG_HASH_KEY_FILE": params.get("hash_key_file", ""),
        "LOG_SERVICES": params["services"],
    }


def command(folder: Path, variables: dict[str, str]) -> list[str]:
    """The command line; in a container every path is the same as here."""
    arguments = ["--path.settings", f"{folder}/config", "--path.data", f"{folder}/data", "-f", f"{folder}/all.conf"]
    arguments += ["--pipeline.workers", "1"]
    given = [f"{name}={value}" for name, value in variables.items()]
    here = home()
    if here:
        return ["env", *given, f"{here}/bin/logstash", *arguments]
    mounts = [f"--volume={path}:{path}" for path in (tempfile.gettempdir(), str(ROOT))]
    return ["docker", "run", "--rm", "-i", "--network=none", *mounts, *(f"--env={pair}" for pair in given),
            str(image()), "logstash", *arguments]  # fmt: skip
