"""One fault a file: what is said of each stands beside it, and is one line.

`bad/<kind>/<fault>.bad.<ext>` is loaded as the product loads a file of its kind; `<fault>.txt` holds the message, and
ends with … where a parser that is not ours has the last word.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import python_shipper
from python_shipper.core.masking import masker_of
from python_shipper.errors import ShipperError
from python_shipper.settings import Settings
from python_shipper.stack import docker, kibana, provision, secrets
from tests.stack import engine
from tests.stack.test_ilm import verdicts

BAD = Path(__file__).parent / "bad"
ROOT = Path(__file__).parents[2]


def saved_object(file: Path) -> None:
    """Among ours, so that references to what exists are good."""
    folder = file.parent
    for ours in (ROOT / "kibana" / "saved_objects").glob("index-pattern.*.json"):
        shutil.copy(ours, folder)
    kibana.saved_objects(folder)


def policy(file: Path) -> None:
    (verdict,) = verdicts([file])
    raise ShipperError(verdict)


def environment_file(file: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(engine.compose_plugin()))
        docker.run("compose", "--env-file=.env.example", f"--env-file={file}", "config", "--quiet")


LOADERS: dict[str, Callable[[Path], object]] = {
    "compose": environment_file,
    "definitions": provision.read_json,
    "ilm_policies": policy,
    "kibana": saved_object,
    "logging": python_shipper.load_config,
    "masking": lambda file: masker_of(Settings(log_masking_file=file)),
    "passwords": secrets.read,
}
MARKS = {
    "compose": [pytest.mark.slow, pytest.mark.needs("docker", "go")],
    "ilm_policies": [pytest.mark.slow, pytest.mark.needs("maven")],
}
FILES = [
    pytest.param(file, id=f"{file.parent.name}/{file.name}", marks=MARKS.get(file.parent.name, []))
    for file in sorted(BAD.glob("*/*.bad.*"))
]


@pytest.mark.parametrize("file", FILES)
def test_a_fault_is_named_in_one_line(file: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copy(file, tmp_path))
    expected = (file.parent / f"{file.name.partition('.')[0]}.txt").read_text().removesuffix("\n")
    with pytest.raises(ShipperError) as caught:
        LOADERS[file.parent.name](copied)
    said = str(caught.value).replace(f"{tmp_path}/", "")
    assert said.startswith(expected[:-1]) if expected.endswith("…") else said == expected
    assert "\n" not in said


def test_every_message_has_its_file_and_every_kind_its_loader() -> None:
    faults = {path.with_name(path.name.partition(".")[0]) for path in BAD.glob("*/*.bad.*")}
    assert faults == {path.with_suffix("") for path in BAD.glob("*/*.txt")}
    assert {path.parent.name for path in faults} == set(LOADERS)
