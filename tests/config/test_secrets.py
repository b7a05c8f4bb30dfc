"""Passwords and certificates: made once, private, checked, rotated; each service gets its own and no other's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings
from python_shipper.stack import certificates, handout, secrets

AWKWARD = """a$b"c'd`e\\f #g%h&i{j}=k"""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates as first made; making them takes a second."""
    folder = tmp_path_factory.mktemp("issued")
    certificates.ensure(folder, ["logs.example.com", "10.0.0.7"])
    return folder


@pytest.fixture
def folder(issued: Path, tmp_path: Path) -> Path:
    """A copy for one test."""
    return shutil.copytree(issued, tmp_path / "secrets")


def test_passwords_are_made_once_and_are_the_owners_only(tmp_path: Path) -> None:
    made = secrets.ensure(tmp_path)
    assert set(made) == set(secrets.NAMES)
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[A-Za-z2-9]{32}", password) for password in made.values())
    assert stat.S_IMODE((tmp_path / "passwords").stat().st_mode) == 0o600
    assert secrets.ensure(tmp_path) == made


@pytest.mark.parametrize("password", [AWKWARD, " leading and trailing ", "비밀번호는길어야합니다요"])
def test_a_chosen_password_is_taken_literally(password: str, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text(f"# chosen\nlogs_admin={password}\n")
    assert secrets.ensure(tmp_path)["logs_admin"] == password
    assert secrets.read(tmp_path / "passwords")["logs_admin"] == password


def test_rotation_keeps_what_setup_needs_to_sign_in(tmp_path: Path) -> None:
    old = secrets.ensure(tmp_path)
    new = secrets.rotate(tmp_path)
    assert new["elastic.previous"] == old["elastic"]
    assert new["kibana_encryption_key"] == old["kibana_encryption_key"]
    assert not {new[name] for name in old} & {old[name] for name in old if name != "kibana_encryption_key"}
    assert secrets.rotate(tmp_path)["elastic.previous"] == old["elastic"], "the second was never set"
    secrets.settle(tmp_path)
    assert "elastic.previous" not in secrets.read(tmp_path / "passwords")


def test_certificates_are_made_once_and_name_their_hosts(folder: Path) -> None:
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    certificates.ensure(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    expected = {"ca"} | set(certificates.SERVICES)
    assert set(first) == {f"{name}.{kind}" for name in expected for kind in ("crt", "key")}
    names = subprocess.run(
        ["openssl", "x509", "-in", folder / "kibana.crt", "-noout", "-ext", "subjectAltName"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wanted = ("DNS:kibana", "DNS:localhost", "IP Address:127.0.0.1", "DNS:logs.example.com", "IP Address:10.0.0.7")
    assert [name for name in wanted if name not in names] == []


def test_keys_are_pkcs8_and_the_owners_only(folder: Path) -> None:
    for path in folder.glob("*.key"):
        assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        serialization.load_pem_private_key(path.read_bytes(), None)


def test_openssl_accepts_every_certificate_for_both_ends(folder: Path) -> None:
    for service in certificates.SERVICES:
        for purpose in ("sslserver", "sslclient"):
            command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", folder / "ca.crt"]
            subprocess.run([*command, folder / f"{service}.crt"], check=True, capture_output=True)


def test_mutual_tls_takes_our_certificate_and_no_stranger(folder: Path) -> None:
    certificates.ensure(folder / "strange")
    assert handshake(folder, folder) == "yes"
    assert handshake(folder, folder / "strange") != "yes"


def handshake(server_folder: Path, client_folder: Path) -> str:
    """What a client with ``client_folder``'s certificate hears from a Logstash that trusts ``server_folder``'s."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(server_folder / "logstash.crt", server_folder / "logstash.key")
    server.load_verify_locations(server_folder / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(server_folder / "ca.crt"))
    client.load_cert_chain(client_folder / "filebeat.crt", client_folder / "filebeat.key")
    here, there = socket.socketpair()
    thread = threading.Thread(target=answer, args=(server, there))
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname="logstash") as secured:
            return secured.recv(3).decode()
    except (ssl.SSLError, OSError) as error:
        return str(error)
    finally:
        thread.join()


def answer(context: ssl.SSLContext, connection: socket.socket) -> None:
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"yes")
    except (ssl.SSLError, OSError):
        connection.close()


def test_rotation_issues_anew_under_the_same_authority(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    certificates.rotate(folder)
    changed = {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {f"{name}.{kind}" for name in certificates.SERVICES for kind in ("crt", "key")}


def test_an_authority_that_ends_sooner_is_replaced_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = (folder / "ca.crt").read_bytes()
    later = certificates.expires(folder / "ca.crt") - timedelta(days=100)
    monkeypatch.setenv("SHIPPER_NOW", later.isoformat())
    certificates.rotate(folder)
    assert (folder / "ca.crt").read_bytes() != authority
    assert certificates.expires(folder / "ca.crt") > later + timedelta(days=3000)


def test_a_lost_authority_renews_every_certificate(folder: Path) -> None:
    (folder / "ca.crt").unlink()
    certificates.ensure(folder)
    assert handshake(folder, folder) == "yes"


@pytest.mark.parametrize("content", [None, b"not a key"])
def test_an_authority_without_its_key_says_what_to_do(content: bytes | None, folder: Path) -> None:
    (folder / "kibana.crt").unlink()
    (folder / "ca.key").unlink() if content is None else (folder / "ca.key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ca\.key: cannot be read .* restore it, or delete ca\.\*"):
        certificates.ensure(folder)


def shell_reads(path: Path, name: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f'. "$1" && printf %s "${name}"', "-", path], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.needs("root")
def test_each_service_is_handed_its_own(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    secrets.write(folder / "passwords", dict.fromkeys(secrets.NAMES, AWKWARD))
    (target / "backups").mkdir(parents=True)
    for _ in range(2):
        handout.hand_out(folder, target, handout.masking_files(Settings()))
    assert shell_reads(target / "logstash" / "logstash.env", "LOGSTASH_WRITER_PASSWORD") == AWKWARD
    assert shell_reads(target / "filebeat" / "filebeat.env", "FILEBEAT_MONITOR_PASSWORD").startswith('"')
    assert (target / "elasticsearch" / "elastic_password").read_text() == AWKWARD
    assert secrets.read(target / "setup" / "passwords") == dict.fromkeys(secrets.NAMES, AWKWARD)
    for path in target.glob("*/*"):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (1000, 0o400)
    keys = {path.parent.name: path.name for path in target.glob("*/*.key")}
    assert keys == {name: f"{name}.key" for name in certificates.SERVICES}
    assert (target / "backups").stat().st_uid == 1000


@pytest.mark.needs("root")
def test_logstash_is_handed_the_files_of_masking_whoever_owns_them(folder: Path, tmp_path: Path) -> None:
    target, key, rules = tmp_path / "out", tmp_path / "key", tmp_path / "rules"
    (target / "backups").mkdir(parents=True)
    key.write_bytes(b"0123456789abcdef")
    rules.write_text("rules: [{name: staff, action: hash, keys: [staff_number]}]")
    for given in (key, rules):
        given.chmod(0o600)
        os.chown(given, 4321, 4321)
    settings = Settings(log_hash_key_file=key, log_masking_file=rules)
    handout.hand_out(folder, target, handout.masking_files(settings))
    for name, given in (("hash.key", key), ("masking.yml", rules)):
        handed = target / "logstash" / name
        assert handed.read_bytes() == given.read_bytes()
        assert (handed.stat().st_uid, stat.S_IMODE(handed.stat().st_mode)) == (1000, 0o400)
    handout.hand_out(folder, target, handout.masking_files(Settings()))
    assert not {"hash.key", "masking.yml"} & {path.name for path in target.glob("*/*")}


def test_masking_files_that_logstash_would_fail_over_are_refused_first(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="holds 5 bytes, at least 16 are needed"):
        handout.masking_files(Settings(log_hash_key_file=tmp_path / "key"))


def test_git_ignores_secrets(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    paths = ["secrets/passwords", "secrets/ca.key", ".env"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(["git", "check-ignore", *paths], cwd=root, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == paths
