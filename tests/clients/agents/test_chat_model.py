"""OpenAI's Agents SDK over chat completions."""

import unittest

import agents
from runs import MODEL, Runs


class ChatModel(Runs, unittest.IsolatedAsyncioTestCase):
    def model(self, client):
        return agents.OpenAIChatCompletionsModel(MODEL, client)


if __name__ == "__main__":
    unittest.main()
