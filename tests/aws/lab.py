"""The programs the tests drive: culvertd, the AWS command line, and the stock openvpn client, each in its namespace."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

BIN = Path(os.environ["CULVERT_BIN"])
WORK = Path(os.environ["CULVERT_WORK"])
HOST = os.environ["CULVERT_HOST"]
CLIENTS = os.environ["CULVERT_CLIENTS"].split()

ACCOUNT = "123456789012"
REGION = "us-east-1"
URL = "http://127.0.0.1:8443"
VPC = "vpc-0123456789abcdef0"
OTHER_VPC = "vpc-0123456789abcdef1"
SUBNET_A = "subnet-0123456789abcdef0"
SUBNET_B = "subnet-0123456789abcdef1"
SECOND_IN_A = "subnet-0123456789abcdef2"
SMALL = "subnet-0123456789abcdef3"
ELSEWHERE = "subnet-0123456789abcdef4"
EVERYTHING = "sg-0123456789abcdef0"
WEB_ONLY = "sg-0123456789abcdef1"
MORE = [f"sg-0123456789abcde{digit:02x}" for digit in range(5)]
DIRECTORY = "d-0123456789"
LOG_GROUP = "/vpn/office"
OTHER_LOG_GROUP = "plain"
DOOR = "AWSClientVPN-door"
DENIES_LATE = "AWSClientVPN-late"
CLOUD_GROUP = "/vpn/cloud"
CLOUD_PORT = 4566

# Users of the directory, each with a group and a password.
USERS = [
    ("ana", "engineering", "correct horse"),
    ("ben", None, "battery staple"),
    ("dan", "development", "open sesame"),
    ("mia", "management", "swordfish"),
    ("amy", "administration", "hunter"),
]

# The address clients dial, and the ones behind it: in the two subnets, and beyond the first one.
SERVER = "192.0.2.1"
IN_A, IN_B, BEYOND = "10.20.1.10", "10.20.2.10", "10.30.0.10"
# The same over IPv6, where hosts know a way back to the clients.
SERVER_6 = "2001:db8:ffff::1"
IN_A_6, IN_B_6, BEYOND_6 = "2001:db8:20:1::10", "2001:db8:20:2::10", "2001:db8:30::10"
VPC_6 = "2001:db8:20::/56"
CLIENTS_6 = "2001:db8:c000::/48"

CONFIG = f"""
state_dir = "{WORK}/state"
run_dir = "{WORK}/run"

[account]
id = "{ACCOUNT}"
region = "{REGION}"
host = "{SERVER}"
ipv6_host = "{SERVER_6}"
resets = "RESETS"
certificate_groups = "OU"
client_ipv6_range = "{CLIENTS_6}"
ACCOUNT_LINES

[api]
listen = "127.0.0.1:8443"
access_keys = "{WORK}/access-keys.toml"

[quotas]
endpoints = MOST_ENDPOINTS

[[vpc]]
id = "{VPC}"
cidr_blocks = ["10.20.0.0/16"]
ipv6_cidr_blocks = ["{VPC_6}"]

[[vpc]]
id = "{OTHER_VPC}"
cidr_blocks = ["10.40.0.0/16", "10.50.0.0/16"]

[[subnet]]
id = "{SUBNET_A}"
vpc_id = "{VPC}"
cidr_block = "10.20.1.0/24"
ipv6_cidr_block = "2001:db8:20:1::/64"
availability_zone = "us-east-1a"
interface = "lan0"

[[subnet]]
id = "{SUBNET_B}"
vpc_id = "{VPC}"
cidr_block = "10.20.2.0/24"
ipv6_cidr_block = "2001:db8:20:2::/64"
ipv6_nat = true
availability_zone = "us-east-1b"
interface = "lan1"

[[subnet]]
id = "{SECOND_IN_A}"
vpc_id = "{VPC}"
cidr_block = "10.20.3.0/24"
availability_zone = "us-east-1a"

[[subnet]]
id = "{SMALL}"
vpc_id = "{VPC}"
cidr_block = "10.20.4.0/28"
availability_zone = "us-east-1c"

[[subnet]]
id = "{ELSEWHERE}"
vpc_id = "{OTHER_VPC}"
cidr_block = "10.40.1.0/24"
availability_zone = "us-east-1b"

[[security_group]]
id = "{EVERYTHING}"
vpc_id = "{VPC}"
name = "default"
description = "Everything"
egress = [{{ protocol = "all", cidr = "0.0.0.0/0" }}, {{ protocol = "all", cidr = "::/0" }}]

[[security_group]]
id = "{WEB_ONLY}"
vpc_id = "{VPC}"
name = "web-only"
egress = [{{ protocol = "tcp", from_port = 80, to_port = 80, cidr = "10.20.0.0/16" }}]

[[directory]]
id = "{DIRECTORY}"
users_file = "{WORK}/users"

[[log_group]]
name = "{LOG_GROUP}"
folder = "{WORK}/log"
update_interval = "1s"

[[connect_handler]]
function = "{DOOR}"
command = ["{Path(__file__).with_name("door")}", "{WORK}/door.log"]

[[connect_handler]]
function = "{DENIES_LATE}"
command = ["{Path(__file__).with_name("door")}", "{WORK}/door.log"]
timeout = "1s"

[[log_group]]
name = "{OTHER_LOG_GROUP}"
folder = "{WORK}/log"
update_interval = "1s"

[[log_group]]
name = "{CLOUD_GROUP}"
cloudwatch = {{ endpoint = "http://127.0.0.1:{CLOUD_PORT}", region = "{REGION}", access_key_file = "{WORK}/access-keys.toml" }}
update_interval = "1s"
""" + "".join(
    f"""
[[security_group]]
id = "{group}"
vpc_id = "{VPC}"
name = "more-{number}"
egress = [{{ protocol = "icmp", cidr = "10.20.0.0/16" }}]
"""
    for number, group in enumerate(MORE)
)


def eventually(what, condition, seconds=10):
    """Waits until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def run(*command, stdin=None):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed: {done.stderr}"
    return done.stdout


class Process:
    """A program that runs until it is stopped, with its log in a file."""

    def __init__(self, name, *command):
        self.name = name
        self.path = WORK / f"{name}.log"
        self.start = self.path.stat().st_size if self.path.exists() else 0
        with open(self.path, "ab") as log:
            command = [str(word) for word in command]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self):
        with open(self.path, "rb") as log:
            log.seek(self.start)
            return log.read().decode(errors="replace")

    def wait_for(self, text, seconds=30):
        """Waits until the log holds `text`."""

        def said():
            if text in self.log():
                return True
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log()[-4000:]}"
            return False

        try:
            eventually(f"{self.name} says {text!r}", said, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode


class Daemon:
    """The daemon with its state, which outlives restarts."""

    def __init__(self):
        self.process = None
        for name, group, password in USERS:
            groups = ("--group", group) if group else ()
            users = ("--users-file", WORK / "users")
            run(BIN / "culvert", "user", "add", name, *groups, "--password-stdin", *users, stdin=f"{password}\n")
        self.key_id, self.secret = self.make_key()

    def make_key(self):
        """Makes an access key as an operator does."""
        said = run(BIN / "culvert", "access-key", "create", "--file", WORK / "access-keys.toml")
        return re.search(r"\bAKIA[A-Z0-9]{16}\b", said)[0], re.search(r"(?<![\w/+])[\w/+]{40}(?![\w/+])", said)[0]

    def start(self, resets="live", account="", endpoints=3):
        """With other settings than usual, if they are given; `account` is further lines of [account]."""
        settings = {"RESETS": resets, "ACCOUNT_LINES": account, "MOST_ENDPOINTS": str(endpoints)}
        text = CONFIG
        for place, setting in settings.items():
            text = text.replace(place, setting)
        (WORK / "culvert.toml").write_text(text)
        self.process = Process("culvertd", BIN / "culvertd", "--config", WORK / "culvert.toml")
        self.process.wait_for("culvertd is ready")

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", 8443)) == 0

        eventually("the API listens", listens)

    def stop(self):
        assert self.process.stop() == 0, self.process.log()[-4000:]

    def crash(self):
        """Ends it as a lack of memory would."""
        self.process.process.kill()
        self.process.process.wait()

    def restart(self, **settings):
        self.stop()
        self.start(**settings)


class Aws:
    """The AWS command line."""

    def __init__(self, daemon):
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(WORK),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": daemon.key_id,
            "AWS_SECRET_ACCESS_KEY": daemon.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": URL,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def _run(self, words):
        command = ["aws", *map(str, words)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)

    def __call__(self, *words):
        """What the command prints, parsed."""
        done = self._run((*words, "--output", "json"))
        assert done.returncode == 0, f"aws {' '.join(map(str, words))}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def text(self, *words):
        """What the command prints with `--output text`."""
        done = self._run((*words, "--output", "text"))
        assert done.returncode == 0, f"aws {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def refusal(self, *words):
        """What the command complains about."""
        done = self._run(words)
        assert done.returncode != 0, f"aws {' '.join(map(str, words))} should have failed: {done.stdout}"
        return done.stderr.strip()


class Client(Process):
    """A stock openvpn client with a profile as it was exported, and what its user adds."""

    def __init__(self, profile, *added, index=0, login=None):
        self.namespace = CLIENTS[index]
        name = f"openvpn-{secrets.token_hex(4)}"
        text = profile + "\n".join(added) + "\n"
        if login is not None:
            path = WORK / f"{name}.login"
            path.write_text("\n".join(login) + "\n")
            path.chmod(0o600)
            text = text.replace("\nauth-user-pass\n", f"\nauth-user-pass {path}\n")
        (WORK / f"{name}.ovpn").write_text(text)
        super().__init__(name, "ip", "netns", "exec", self.namespace, "openvpn", "--config", WORK / f"{name}.ovpn")

    def connected(self):
        self.wait_for("Initialization Sequence Completed")
        return self

    def inside(self, *command):
        """Whether a command on the client's machine succeeds, and what it prints."""
        command = ["ip", "netns", "exec", self.namespace, *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode == 0, done.stdout

    def pings(self, address, seconds=3):
        return self.inside("ping", "-q", "-c", "1", "-W", str(seconds), address)[0]

    def fetches(self, address, seconds=3):
        """The page of a web server, or nothing."""
        done, page = self.inside("curl", "-sS", "-m", str(seconds), f"http://{address}/page")
        return page if done else None

    def ended(self, seconds=30):
        """Waits until the client has given up by itself."""
        eventually(f"{self.name} ends", lambda: self.process.poll() is not None, seconds)
        return self.log()


class WebServer(Process):
    """A page on the host, and who asked for it."""

    def __init__(self):
        (WORK / "www").mkdir()
        (WORK / "www" / "page").write_text("hello from behind")
        super().__init__(
            "www", "ip", "netns", "exec", HOST, "python3", "-u", "-m", "http.server", "--directory", WORK / "www", "80"
        )
        self.wait_for("Serving HTTP")

    def visitors(self):
        """The addresses that asked, oldest first."""
        return re.findall(r"^([\d.]+) - - .*GET /page", self.log(), re.MULTILINE)
