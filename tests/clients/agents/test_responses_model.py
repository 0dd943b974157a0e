"""OpenAI's Agents SDK over `/v1/responses`, its own choice."""

import json
import os
import unittest
import urllib.request

import agents
from runs import MODEL, Runs


def is_described():
    root = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/openapi.json", timeout=60) as document:
        return "/v1/responses" in json.load(document)["paths"]


@unittest.skipUnless(is_described(), "this server has no /v1/responses")
class ResponsesModel(Runs, unittest.IsolatedAsyncioTestCase):
    def model(self, client):
        return agents.OpenAIResponsesModel(MODEL, client)


if __name__ == "__main__":
    unittest.main()
