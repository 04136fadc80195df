"""Certificates of a run: an authority, a server and a client, all on P-256, made with the openssl command."""

from __future__ import annotations

from pathlib import Path

from .process import output_of


def create(folder: Path) -> None:
    """Makes `ca.crt`, `server.crt`, `server.key`, `client.crt` and `client.key` in `folder`."""
    folder.mkdir(parents=True)
    _key(folder / "ca.key")
    _openssl("req", "-x509", "-new", "-key", f"{folder}/ca.key", "-subj", "/CN=bench-ca", "-days", "30",
             "-out", f"{folder}/ca.crt")  # fmt: skip
    _issue(folder, "server", "serverAuth")
    _issue(folder, "client", "clientAuth")


def _issue(folder: Path, name: str, usage: str) -> None:
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage={usage}\n")
    _key(folder / f"{name}.key")
    _openssl("req", "-new", "-key", f"{folder}/{name}.key", "-subj", f"/CN={name}", "-out", f"{folder}/{name}.csr")
    _openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key",
             "-CAcreateserial", "-days", "30", "-extfile", f"{extensions}", "-out", f"{folder}/{name}.crt")  # fmt: skip


def _key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{path}")
    path.chmod(0o600)


def _openssl(*arguments: str) -> None:
    output_of("openssl", ["openssl", *arguments], 30)
