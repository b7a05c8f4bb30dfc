"""Which Elasticsearch the tests take: the first that can be had, and where none can, why each could not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.stack import elasticsearch, obtain, official
from tests.stack.elasticsearch import Server, Source

INFO, INSPECT, PULL = "info", "image inspect", "pull"


def source(name: str, reason: str | None, asked: list[str]) -> Source:
    @contextmanager
    def had() -> Iterator[Server]:
        asked.append(name)
        if reason:
            raise obtain.MissingError(reason)
        yield Server(name, None)
        asked.append(f"{name} ended")

    return had


def test_the_first_that_can_be_had_is_taken_and_ended() -> None:
    asked: list[str] = []
    sources = [source("a", "no a", asked), source("b", None, asked), source("c", None, asked)]
    with ExitStack() as stack:
        assert elasticsearch.first(sources, stack).url == "b"
    assert asked == ["a", "b", "b ended"]


def test_where_none_can_be_had_each_says_why() -> None:
    with ExitStack() as stack, pytest.raises(obtain.MissingError, match=r"^no a; no b$"):
        elasticsearch.first([source("a", "no a", []), source("b", "no b", [])], stack)


def test_the_order_is_a_url_the_image_the_distribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ELASTICSEARCH_URL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(obtain, "CACHE", tmp_path)
    reasons = "^ELASTICSEARCH_URL is not set; docker is not installed; mvn is not installed$"
    with pytest.raises(obtain.MissingError, match=reasons), elasticsearch.any_server():
        pass


# What the client says to each command (None: it fails) -> why the image is not taken; None: it is.
CLIENTS: dict[str, tuple[dict[str, str | None], str | None]] = {
    "no daemon": ({INFO: None}, "no Docker daemon answers (docker info: refused)"),
    "no image": ({INFO: "29", INSPECT: None, PULL: None}, "docker pull: refused"),
    "stand-in": ({INFO: "29", INSPECT: ""}, f"the image {official.IMAGE} that is here is not Elastic's"),
    "official": ({INFO: "29", INSPECT: "Elastic"}, None),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_the_image_is_taken_where_it_is_elastics(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers, reason = CLIENTS[name]
    client = tmp_path / "docker"
    cases = "".join(
        f"'{command} '*) {'echo refused >&2; exit 1' if answer is None else f'echo {answer!r}'};;\n"
        for command, answer in answers.items()
    )
    client.write_text(f'#!/bin/sh\ncase "$* " in\n{cases}*) exit 99;;\nesac\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if reason is None:
        official.require()
        return
    with pytest.raises(obtain.MissingError) as caught:
        official.require()
    assert str(caught.value) == reason
