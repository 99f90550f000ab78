#!/usr/bin/env python3
"""What the server says of itself, held against what it does: schemathesis calls every operation of the document with what fits
it and with what does not, as each of five identities, and looks at every answer.

Usage: tests/schemathesis.py path/to/infirmary path/to/schemathesis [identity ...]

How many examples an operation gets: EXAMPLES in all from the identities that may call it, REFUSED from each that may not, and
from one of those that may the edges of each of its values beside (the phase "coverage"). Who may, the document says (x-access).
EXAMPLES=500 REFUSED=100 is a hundred for every operation from every identity. SEED repeats a run. Each identity has a house of
its own, a copy of the demo house.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
REFUSED = int(os.environ.get("REFUSED", "20"))
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = int(os.environ.get("AT_ONCE", "2"))
IDENTITIES = ["admin", "doctor", "accountant", "patient", "nobody"]
# Who tries the edges of an operation's values: the first of these who may call it.
AT_EDGES = ["nobody", "doctor", "accountant", "admin", "patient"]
PASSWORD = "plum trees by the north gate"
# On a session or an account that is there, they would end the run of the one who calls.
ENDS_SESSIONS = {
    "POST /v1/auth/logout",
    "DELETE /v1/auth/sessions/{id}",
    "PATCH /v1/accounts/{id}",
    "DELETE /v1/accounts/{id}",
    "POST /v1/accounts/{id}/restart",
    "DELETE /api/auth/deleteUser",
    "DELETE /api/auth/deleteUser/deleteUser",
    "PUT /api/user/updateAccType",
}
LEGACY_STATUSES = ["2xx", "3xx", 400, 401, 403, 404, 409, 413, 429, 503]
# A provider of messages whom nobody reaches, so that its webhook is there.
WHATSAPP = {
    "INFIRMARY_WHATSAPP_PHONE_NUMBER_ID": "105954558954427",
    "INFIRMARY_WHATSAPP_TOKEN": "EAAJB0123456789abcdef",
    "INFIRMARY_WHATSAPP_URL": "http://127.0.0.1:9",
    "INFIRMARY_WHATSAPP_APP_SECRET": "0123456789abcdef0123456789abcdef",
    "INFIRMARY_WHATSAPP_VERIFY_TOKEN": "fedcba9876543210fedcba9876543210",
}
METHODS = ["get", "post", "patch", "put", "delete"]


def ask(url, body=None, token=None):
    request = urllib.request.Request(url, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


class House:
    """A server on a folder."""

    def __init__(self, infirmary, folder, command):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log.txt"
        settings = {
            "INFIRMARY_DATA_DIR": str(folder / "data"),
            "INFIRMARY_LISTEN": f"127.0.0.1:{port}",
            "INFIRMARY_LOG": "warn",
            "INFIRMARY_WORKERS": "1",
            **WHATSAPP,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [infirmary, command], cwd=folder, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=log
            )
        for _ in range(1200):
            if self.process.poll() is not None:
                sys.exit(f"the server ended: {self.log.read_text()}")
            try:
                ask(f"{self.url}/health/ready")
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server does not become ready")

    def sign_in(self, email):
        session = ask(f"{self.url}/v1/auth/login", {"email": email, "password": PASSWORD})
        return session["accessToken"], session["account"]

    def sign_in_as_before(self, email):
        """With a token of the replaced system's kind."""
        return ask(f"{self.url}/api/auth/login/", {"Email": email, "password": PASSWORD})

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit(f"the server did not end well: {self.log.read_text()}")


def may(access, identity):
    return access == "anyone" or identity in access


def known_ids(house):
    """Of records that are there, by the part of the address that names them."""
    admin, _ = house.sign_in("admin@demo.infirmary.example")
    ids = {}
    for kind in ["accounts", "patients", "diagnoses", "reports", "charges", "payments", "tasks", "messages"]:
        ids[kind] = [item["id"] for item in ask(f"{house.url}/v1/{kind}?limit=20", token=admin)["items"]]
    studies = [
        study
        for patient in ids["patients"][:8]
        for study in ask(f"{house.url}/v1/studies?patientId={patient}", token=admin)["items"]
    ]
    ids["studies"] = [study["id"] for study in studies]
    ids["images"] = [image["id"] for study in studies for image in study["images"]]
    # As the replaced system's routes name them.
    ids["patientID"], ids["diagnosisID"] = ids["patients"], ids["diagnoses"]
    return {kind: found for kind, found in ids.items() if found}


def dictionary_for(path, ids):
    """The parameter in an address, and which ids it may have."""
    parts = path.split("/")
    for before, part in zip(parts, parts[1:]):
        name = part.strip("{}")
        if part != name and (name in ids or before in ids):
            return name, name if name in ids else before
    return None


def settings(document, identity, house):
    """The configuration of a run, in TOML, and the token that has to be good until its end."""
    ids = known_ids(house)
    lines = [
        f"seed = {SEED}",
        "continue-on-failure = true",
        "workers = 1",
        "color = false",
        # What is told of operations that an identity may not call, or of which no record is there.
        "warnings = false",
        "[generation]",
        f"max-examples = {EXAMPLES}",
        "no-shrink = true",
        # What a database of examples keeps is of another run.
        'database = "none"',
        # A value can have the form of the document and be refused for what it says: a code that is over, a patient who is
        # none, money that nobody owes. The replaced system's clients know that as 400.
        "[checks.positive_data_acceptance]",
        'expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 415, 422, 429, 503]',
    ]
    lines += [
        # Who changes a record without saying which version of it they saw is told 428 (RFC 6585).
        "[checks.missing_required_header]",
        'expected-statuses = [400, 401, 403, 404, 406, 415, 422, 428]',
        # Refused all the same: for an old version before its fields are looked at, for its size before its form is.
        "[checks.negative_data_rejection]",
        'expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]',
    ]
    for kind, values in ids.items():
        lines += [f"[dictionaries.{kind}]", f"values = {json.dumps(values)}"]
    email = f"{identity}@demo.infirmary.example"
    token = ended = None
    if identity != "nobody":
        token, account = house.sign_in(email)
        # Of a session that may end.
        ended, _ = house.sign_in(email)
        standing = house.sign_in_as_before(email)
        uid = account.get("patientId") or account["id"]
        lines += [
            f'[auth.openapi.token]\nbearer = "{token}"',
            f'[auth.openapi.legacyToken]\napi_key = "{standing}"',
            f'[auth.openapi.legacyUid]\napi_key = "{uid}"',
        ]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            name = f"{method.upper()} {path}"
            access = operation["x-access"]
            able = [who for who in IDENTITIES if may(access, who)]
            examples = -(-EXAMPLES // len(able)) if may(access, identity) else REFUSED
            lines += ["[[operations]]", f"include-name = {json.dumps(name)}", f"generation.max-examples = {examples}"]
            if identity != next(who for who in AT_EDGES if who in able):
                lines.append("phases.coverage.enabled = false")
            if ended and name == "POST /v1/auth/logout":
                lines.append(f'headers.Authorization = "Bearer {ended}"')
            if name in ENDS_SESSIONS:
                lines.append("phases.stateful.enabled = false")
            elif found := dictionary_for(path, ids):
                parameter, kind = found
                lines.append(f'parameters."path.{parameter}" = {{ dictionary = "{kind}", probability = 0.5 }}')
            if path.startswith("/api/"):
                # These clients write numbers as texts and texts as numbers: what can be read is taken.
                lines.append("checks.negative_data_rejection.enabled = false")
                lines.append(f"checks.positive_data_acceptance.expected-statuses = {json.dumps(LEGACY_STATUSES)}")
    return "\n".join(lines) + "\n", token


def run(schemathesis, infirmary, demo, identity):
    started, text = time.monotonic(), ""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"schemathesis-{identity}-"))
    shutil.copytree(demo / "data", folder / "data")
    house = House(infirmary, folder, "serve")
    try:
        config, token = settings(ask(f"{house.url}/openapi.json"), identity, house)
        (folder / "schemathesis.toml").write_text(config)
        command = [schemathesis, "--config-file", folder / "schemathesis.toml", "run", f"{house.url}/openapi.json"]
        with (folder / "said.txt").open("w") as said:
            failed = subprocess.run(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT).returncode != 0
        text = (folder / "said.txt").read_text()
        if token and ask(f"{house.url}/v1/me", token=token)["role"] != identity:
            failed, text = True, f"{text}\nthe account of the {identity} is not what it was"
    except OSError as error:
        failed, text = True, f"{text}\nthe session of the {identity} did not last: {error}"
    finally:
        house.stop()
    if not failed:
        shutil.rmtree(folder)
    return identity, failed, time.monotonic() - started, text, folder


def main():
    infirmary, schemathesis = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    identities = sys.argv[3:] or IDENTITIES
    demo = pathlib.Path(tempfile.mkdtemp(prefix="schemathesis-demo-"))
    House(infirmary, demo, "demo").stop()
    any_failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = pool.map(lambda identity: run(schemathesis, infirmary, demo, identity), identities)
        for identity, failed, seconds, text, folder in runs:
            any_failed |= failed
            cases = next((line.strip() for line in text.splitlines() if " generated" in line), "no case")
            print(f"{text}\nschemathesis as {identity}: FAILED, see {folder}" if failed else f"{identity}: {cases}")
            print(f"after {seconds:.0f} s", flush=True)
    shutil.rmtree(demo)
    sys.exit(any_failed)


if __name__ == "__main__":
    main()
