"""schemathesis on every operation of `/openapi.json`: whatever is sent, the answer is one that the
document describes, and never a server error."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

ROOT = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
HERE = pathlib.Path(__file__).parent
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
OPTIONS = ["--seed", "1", "--max-examples", "40", "--phases", "examples,coverage,fuzzing"]
OPTIONS += ["--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off"]
TIMEOUT_S = 600


def operations():
    with urllib.request.urlopen(f"{ROOT}/openapi.json", timeout=60) as document:
        paths = json.load(document)["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def run(operation, statuses):
    """The exit status, what was told, and how often which status was answered."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{ROOT}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), *OPTIONS, "--no-color", "--continue-on-failure"]
    command += ["--include-name", operation]
    command += ["--header", f"Authorization: Bearer {os.environ['OPENAI_API_KEY']}"]
    told = {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    told["AGENTBASE_TEST_STATUSES"] = statuses
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | told,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    return done.returncode, done.stdout + done.stderr


class Operations(unittest.TestCase):
    """One test per operation, made below."""


def _test_of(operation):
    def test(self):
        with tempfile.NamedTemporaryFile("r") as statuses:
            code, told = run(operation, statuses.name)
            seen = statuses.read().split()
        self.assertEqual(code, 0, told)
        self.assertTrue(seen, told)
        if "{" not in operation:  # What is made up is in no path.
            self.assertIn("200", seen, f"nothing was answered\n{told}")

    return test


for _operation in operations():
    setattr(Operations, f"test_{_operation}", _test_of(_operation))


if __name__ == "__main__":
    unittest.main()
