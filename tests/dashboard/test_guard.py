"""What must not reach the logs does not: other hosts, missing tokens, endless bodies; and every answer has its CSP."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from python_shipper.dashboard.guard import MOST_BODY_BYTES, Guard, host_name
from python_shipper.settings import Settings

TOKEN = {"Authorization": "Bearer a token of some length"}


@pytest.mark.parametrize("host", ["127.0.0.1:8686", "localhost", "LOCALHOST:8686", "[::1]:8686", "[::1]"])
def test_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/indices", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:80:80", "", "127.0.0.1@evil"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/indices", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["where"] == "Host header"


def test_further_names_are_set_by_api_names() -> None:
    guard = Guard(lambda *_: None, Settings(api_host="0.0.0.0", api_names="logs.example, other.example"))  # type: ignore[arg-type, return-value]
    assert {"logs.example", "other.example", "localhost"} <= guard.names


@pytest.mark.parametrize("path", ["/api/indices", "/metrics", "/openapi.json"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "a token of some length"}])
def test_without_the_token_the_api_is_closed(locked: TestClient, path: str, header: dict[str, str]) -> None:
    answer = locked.get(path, headers=header)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "API_TOKEN" in answer.json()["error"]["do"]


@pytest.mark.parametrize("path", ["/api/indices", "/metrics", "/openapi.json", "/status"])
def test_with_the_token_everything_is_open(locked: TestClient, path: str) -> None:
    assert locked.get(path, headers=TOKEN).status_code == 200


def test_people_log_in_once(locked: TestClient) -> None:
    assert locked.get("/status").headers["location"] == "/login"
    assert locked.get("/login").status_code == 200
    wrong = locked.post("/login", content=b"token=wrong")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    right = locked.post("/login", content=b"token=a+token+of+some+length")
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "a token" not in cookie
    assert locked.get("/status").status_code == 200


@pytest.mark.parametrize("cookie", ["shipper_session=", "shipper_session=guess", "=;;;", 'x="\\'])
def test_a_wrong_cookie_is_no_login(locked: TestClient, cookie: str) -> None:
    assert locked.get("/status", headers={"Cookie": cookie}).status_code == 303


def test_bodies_are_bounded_by_their_header_and_by_what_comes(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [b"x" * 10_000] * 10

    assert client.post("/api/search", content=b"x" * (MOST_BODY_BYTES + 1)).status_code == 413
    assert client.post("/api/search", content=pieces()).status_code == 413


@pytest.mark.parametrize("path", ["/status", "/api/indices", "/static/style.css", "/nothing", "/api/nothing"])
def test_every_answer_has_the_strict_policy(client: TestClient, path: str) -> None:
    policy = client.get(path).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("header", "name"),
    [("A.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("a:", "a:"), ("a::80", "a::80")],
)
def test_host_names(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/", "no-store"),
        ("/api/indices", "no-store"),
        ("/static/none.js", "no-store"),
        ("/static/live.js", "immutable"),
    ],
)
def test_only_static_files_may_be_kept_by_browsers(client: TestClient, path: str, kept: str) -> None:
    assert kept in client.get(path).headers["cache-control"]
