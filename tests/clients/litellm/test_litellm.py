"""LiteLLM as a client, by the prefixes of both APIs, against a running server and a real model."""

import json
import os
import unittest

import litellm

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "roll",
        "description": "Rolls a die",
        "parameters": {
            "type": "object",
            "properties": {"sides": {"type": "integer", "minimum": 2, "maximum": 9}},
            "required": ["sides"],
            "additionalProperties": False,
        },
    },
}
# OpenAI's address ends with /v1, Anthropic's does not.
ADDRESSES = {
    "openai": os.environ["OPENAI_BASE_URL"],
    "anthropic": os.environ["OPENAI_BASE_URL"].removesuffix("/v1"),
}


def ask(prefix, **options):
    options = {"messages": QUESTION, "max_tokens": 100, "temperature": 0} | options
    return litellm.completion(
        model=f"{prefix}/{MODEL}",
        api_base=ADDRESSES[prefix],
        api_key=os.environ["OPENAI_API_KEY"],
        timeout=300,
        max_retries=0,
        **options,
    )


class Prefix:
    """What both prefixes do."""

    def test_an_answer(self):
        answer = ask(self.prefix)
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        usage = answer.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertEqual(ask(self.prefix, max_tokens=2).choices[0].finish_reason, "length")

    def test_a_stream_says_the_same(self):
        whole = ask(self.prefix)
        chunks = list(ask(self.prefix, stream=True, stream_options={"include_usage": True}))
        deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        self.assertEqual("".join(deltas), whole.choices[0].message.content)
        usages = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
        self.assertEqual(usages[-1].completion_tokens, whole.usage.completion_tokens)

    def test_a_required_tool(self):
        answer = ask(self.prefix, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        (call,) = answer.choices[0].message.tool_calls
        self.assertTrue(2 <= json.loads(call.function.arguments)["sides"] <= 9, call)
        result = {"role": "tool", "tool_call_id": call.id, "content": "2"}
        turns = [*QUESTION, answer.choices[0].message.model_dump(), result]
        said = ask(self.prefix, messages=turns, tools=[TOOL], tool_choice="none")
        self.assertTrue(said.choices[0].message.content)

    def test_a_schema(self):
        schema = {
            "type": "object",
            "properties": {"size": {"enum": ["S", "M", "L"]}},
            "required": ["size"],
            "additionalProperties": False,
        }
        named = {"name": "shirt", "schema": schema, "strict": True}
        form = {"type": "json_schema", "json_schema": named}
        answer = ask(self.prefix, response_format=form)
        self.assertIn(json.loads(answer.choices[0].message.content)["size"], ("S", "M", "L"))

    def test_errors_have_their_classes(self):
        with self.assertRaises(litellm.AuthenticationError):
            litellm.completion(
                model=f"{self.prefix}/{MODEL}",
                api_base=ADDRESSES[self.prefix],
                api_key="ab-wrong",
                messages=QUESTION,
                max_retries=0,
            )
        with self.assertRaises(litellm.BadRequestError):
            ask(self.prefix, temperature=5)


class OpenAI(Prefix, unittest.TestCase):
    prefix = "openai"


class Anthropic(Prefix, unittest.TestCase):
    prefix = "anthropic"


class TextCompletion(unittest.TestCase):
    def test_text(self):
        answer = litellm.text_completion(
            model=f"text-completion-openai/{MODEL}",
            api_base=ADDRESSES["openai"],
            api_key=os.environ["OPENAI_API_KEY"],
            prompt="One, two, three,",
            max_tokens=8,
            temperature=0,
            timeout=300,
        )
        self.assertIn("four", answer.choices[0].text)


if __name__ == "__main__":
    unittest.main()
