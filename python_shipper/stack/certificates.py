"""The stack's own certificate authority and one certificate a service: every hop is TLS from the first start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from python_shipper.core.clock import now_ms
from python_shipper.errors import ConfigurationError
from python_shipper.stack.secrets import write_private

AUTHORITY_DAYS = 3650
SERVICE_DAYS = 730
WARN_DAYS = 30
# Service -> the host names by which others reach it (the three nodes of the cluster file share one certificate).
SERVICES: dict[str, tuple[str, ...]] = {
    "elasticsearch": ("elasticsearch", "es01", "es02", "es03"),
    "kibana": ("kibana",),
    "logstash": ("logstash", "logstash01", "logstash02"),
    "filebeat": ("filebeat",),
}
LOCAL = ("localhost", "127.0.0.1", "::1")


def ensure(folder: Path, further_names: Iterable[str] = ()) -> None:
    """Make what is missing in ``folder``: ``ca.crt``, ``ca.key``, and ``<service>.crt``, ``<service>.key`` (PKCS#8).

    Args:
        folder: The secrets folder.
        further_names: Host names or addresses of this machine for its certificates, beside localhost.

    Raises:
        ConfigurationError: the authority's files cannot be read.
    """
    new_authority = not (folder / "ca.crt").exists()
    if new_authority:
        make_authority(folder)
    for service, names in SERVICES.items():
        if new_authority or not (folder / f"{service}.crt").exists():
            issue(folder, service, [*names, *LOCAL, *further_names])


def rotate(folder: Path, further_names: Iterable[str] = ()) -> None:
    """Issue every service's certificate anew; the authority too if it would expire before them."""
    if expires(folder / "ca.crt") < now() + timedelta(days=SERVICE_DAYS):
        make_authority(folder)
    for service, names in SERVICES.items():
        issue(folder, service, [*names, *LOCAL, *further_names])


def make_authority(folder: Path) -> None:
    """A new self-signed authority that may sign services only."""
    key = new_key(3072)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "christmas-logs authority")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    save(folder, "ca", key, certificate)


def issue(folder: Path, service: str, names: Iterable[str]) -> None:
    """A certificate for ``service`` under ``names``, for both ends: transport and mutual TLS need both."""
    authority_key, authority = authority_of(folder)
    key = new_key(2048)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)]), authority.subject, key, SERVICE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    save(folder, service, key, certificate)


def builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, days: int) -> x509.CertificateBuilder:
    """What every certificate has; valid from an hour ago, for clocks that differ."""
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now() - timedelta(hours=1),
        not_valid_after=now() + timedelta(days=days),
    )


def new_key(bits: int) -> rsa.RSAPrivateKey:
    """RSA, which each of the four products has always taken."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def alternative(name: str) -> x509.GeneralName:
    """An address as an address, anything else as a host name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def save(folder: Path, name: str, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
    """``<name>.key`` as unencrypted PKCS#8 (the form that Logstash wants), then ``<name>.crt``."""
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    write_private(folder / f"{name}.key", pem)
    write_private(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def authority_of(folder: Path) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """The authority's key and certificate.

    Raises:
        ConfigurationError: one of the two files is missing or is not what it should be.
    """
    try:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder / 'ca.key'}: cannot be read ({error}); restore it, or delete ca.*") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(f"{folder / 'ca.key'}: not an RSA key; restore it, or delete ca.crt to begin anew")
    return key, load(folder / "ca.crt")


def load(path: Path) -> x509.Certificate:
    """The certificate in ``path``.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path}: no certificate can be read from it ({error}); delete it and run shipper up"
        raise ConfigurationError(message) from None


def expires(path: Path) -> datetime:
    """When the certificate in ``path`` ends, in UTC."""
    return load(path).not_valid_after_utc


def now() -> datetime:
    """The present by the project's clock."""
    return datetime.fromtimestamp(now_ms() // 1000, UTC)


def names(text: str) -> list[str]:
    """The host names and addresses in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
