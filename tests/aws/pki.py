"""Certificate authorities, made with the openssl command line as an operator would."""

from lab import run

EXTENSIONS = {
    "ca": "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    "server": "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\n"
    "subjectAltName=DNS:{name}\n",
    "client": "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n",
}
CA_CONFIG = """
[ca]
default_ca = this
[this]
database = {0}/index.txt
certificate = {0}/ca.crt
private_key = {0}/ca.key
default_md = sha256
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
"""


class Leaf:
    """A certificate with its key, PEM."""

    def __init__(self, certificate, key):
        self.certificate = certificate.read_text()
        self.key = key.read_text()
        self.path = certificate

    def inline(self):
        """What its owner appends to an exported profile."""
        return f"<cert>\n{self.certificate}</cert>\n<key>\n{self.key}</key>"


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory, name, algorithm="EC:P-256"):
        directory.mkdir()
        self.directory = directory
        self.algorithm = algorithm
        self.serial = 1
        self._key("ca")
        self._write("ca.ext", EXTENSIONS["ca"])
        self._request("ca", name)
        run(
            "openssl",
            "x509",
            "-req",
            "-in",
            directory / "ca.csr",
            "-signkey",
            directory / "ca.key",
            "-days",
            "30",
            "-extfile",
            directory / "ca.ext",
            "-out",
            directory / "ca.crt",
        )
        self.certificate = (directory / "ca.crt").read_text()
        self.revoked = []

    def _write(self, name, text):
        (self.directory / name).write_text(text)

    def _key(self, name):
        kind, _, size = self.algorithm.partition(":")
        option = f"ec_paramgen_curve:{size}" if kind == "EC" else f"rsa_keygen_bits:{size}"
        run("openssl", "genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", self.directory / f"{name}.key")

    def _request(self, name, common_name, subject=""):
        run(
            "openssl",
            "req",
            "-new",
            "-key",
            self.directory / f"{name}.key",
            "-subj",
            f"{subject}/CN={common_name}",
            "-out",
            self.directory / f"{name}.csr",
        )

    def issue(self, name, purpose="client", days=20, subject=""):
        """A certificate for a name, after the rest of its subject; an expired one if `days` is negative."""
        self.serial += 1
        stem = f"{self.serial:02}-{name}"
        self._key(stem)
        self._write(f"{stem}.ext", EXTENSIONS[purpose].format(name=name))
        self._request(stem, name, subject)
        where = self.directory
        run(
            "openssl",
            "x509",
            "-req",
            "-in",
            where / f"{stem}.csr",
            "-CA",
            where / "ca.crt",
            "-CAkey",
            where / "ca.key",
            "-set_serial",
            str(self.serial),
            "-days",
            str(days),
            "-extfile",
            where / f"{stem}.ext",
            "-out",
            where / f"{stem}.crt",
        )
        return Leaf(where / f"{stem}.crt", where / f"{stem}.key")

    def revoke(self, leaf):
        said = run("openssl", "x509", "-in", leaf.path, "-noout", "-serial")
        self.revoked.append(said.strip().partition("=")[2])

    def crl(self, serials=None, seconds=864_000):
        """A revocation list, PEM: of what was revoked, or of these serial numbers in hexadecimal."""
        serials = self.revoked if serials is None else serials
        lines = (f"R\t400101000000Z\t200101000000Z\t{serial}\tunknown\t/CN=revoked\n" for serial in serials)
        self._write("index.txt", "".join(lines))
        self._write("ca.cnf", CA_CONFIG.format(self.directory))
        return run("openssl", "ca", "-config", self.directory / "ca.cnf", "-gencrl", "-crlsec", seconds)
