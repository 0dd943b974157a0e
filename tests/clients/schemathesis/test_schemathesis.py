"""schemathesis on every operation of `/openapi.json`: whatever is sent, the answer is one that the
document describes, and never a server error. Every option of a body is sent at least once, and of
what generates most are in a request that is answered."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from values import BY_PATH, CLASSIFYING

ROOT = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
HERE = pathlib.Path(__file__).parent
CLASSIFIER = os.environ.get("AGENTBASE_TEST_CLASSIFIER")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
OPTIONS = ["--seed", "1", "--max-examples", "40", "--phases", "examples,coverage,fuzzing"]
OPTIONS += ["--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off"]
TIMEOUT_S = 600
# Answered where one encoder is served; tests/clients/python has such a server.
ALONE = ("GET /info",)
# Made up paths hold no id of anything but the model.
MODELS = ("/model/", "/models/", "/foundation-models/")


def operations():
    """The name of each, and the options of its body."""
    with urllib.request.urlopen(f"{ROOT}/openapi.json", timeout=60) as document:
        document = json.load(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {})
            schema = body.get("application/json", {}).get("schema", {})
            yield f"{method.upper()} {path}", options(document, schema)


def options(document, schema):
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    parts = (options(document, part) for part in schema.get("allOf", []))
    return set(schema.get("properties", {})).union(*parts)


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


def _test_of(operation, known):
    def test(self):
        if operation.removeprefix("POST ") in CLASSIFYING and not CLASSIFIER:
            self.skipTest("no classifier is served")
        with tempfile.NamedTemporaryFile("r") as statuses:
            code, told = run(operation, statuses.name)
            seen = [json.loads(line) for line in statuses]
        self.assertEqual(code, 0, told)
        self.assertTrue(seen, told)
        sent = {option for _, options in seen for option in options}
        self.assertEqual(known - sent, set(), "options that were never sent")
        has_ids = "{" in operation and not any(path in operation for path in MODELS)
        if not has_ids and operation not in ALONE:
            statuses = {status for status, _ in seen}
            self.assertIn(200, statuses, f"nothing was answered\n{told}")
        if operation.removeprefix("POST ") in BY_PATH:
            answered = {option for status, options in seen for option in options if status == 200}
            self.assertLessEqual(len(known - answered), len(known) / 5, known - answered)

    return test


for _operation, _known in operations():
    setattr(Operations, f"test_{_operation}", _test_of(_operation, _known))


if __name__ == "__main__":
    unittest.main()
