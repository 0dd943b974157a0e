"""Anthropic's own Python client against a running server and a real model."""

import json
import os
import unittest

import anthropic

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
GREEDY = {"temperature": 0}
TOOL = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def client(key=None):
    """Only the address differs from Anthropic's own; it goes without `/v1`."""
    base_url = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
    key = key or os.environ["OPENAI_API_KEY"]
    return anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=300)


def ask(**options):
    options = {"model": MODEL, "messages": QUESTION, "max_tokens": 24} | options
    return client().messages.create(**({"extra_body": GREEDY} | options))


class Messages(unittest.TestCase):
    def test_answer(self):
        message = ask()
        self.assertEqual((message.type, message.role), ("message", "assistant"))
        self.assertEqual(message.model, MODEL)
        self.assertIn("Paris", message.content[0].text)
        self.assertIn(message.stop_reason, ("end_turn", "max_tokens"))
        self.assertGreater(message.usage.input_tokens + message.usage.cache_read_input_tokens, 10)

    def test_stream_says_the_same(self):
        whole = ask()
        with client().messages.stream(
            model=MODEL, messages=QUESTION, max_tokens=24, extra_body=GREEDY
        ) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, whole.stop_reason)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)

    def test_limits_and_stops(self):
        self.assertEqual(ask(max_tokens=2).stop_reason, "max_tokens")
        full = ask().content[0].text
        stop = full[6:9]
        message = ask(stop_sequences=[stop])
        self.assertEqual((message.stop_reason, message.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(message.content[0].text, full[: full.index(stop)])

    def test_system_and_beginnings_are_taken(self):
        turns = QUESTION + [{"role": "assistant", "content": "The capital of France is"}]
        message = ask(system="You answer in English.", messages=turns)
        self.assertIn("Paris", message.content[0].text)

    def test_tokens_are_counted(self):
        counted = client().messages.count_tokens(model=MODEL, messages=QUESTION).input_tokens
        usage = ask(max_tokens=1).usage
        self.assertEqual(counted, usage.input_tokens + usage.cache_read_input_tokens)

    def test_an_answer_fits_its_schema(self):
        schema = {
            "type": "object",
            "properties": {"size": {"enum": ["S", "M", "L"]}},
            "required": ["size"],
            "additionalProperties": False,
        }
        format = {"type": "json_schema", "schema": schema}
        message = ask(output_config={"format": format}, max_tokens=60)
        self.assertIn(json.loads(message.content[0].text)["size"], ("S", "M", "L"))

    def test_a_required_tool_and_its_result(self):
        choice = {"type": "any", "disable_parallel_tool_use": True}
        question = {"role": "user", "content": "How warm is it in Rome?"}
        options = {"tools": [TOOL], "max_tokens": 200}
        message = ask(messages=[question], tool_choice=choice, **options)
        self.assertEqual(message.stop_reason, "tool_use")
        (call,) = message.content
        self.assertEqual((call.type, call.name), ("tool_use", TOOL["name"]))
        self.assertEqual(list(call.input), ["city"])
        with client().messages.stream(
            model=MODEL, messages=[question], tool_choice=choice, extra_body=GREEDY, **options
        ) as stream:
            final = stream.get_final_message()
        self.assertEqual(final.content[0].input, call.input)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
        turns = [
            question,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result]},
        ]
        self.assertTrue(ask(messages=turns, **options).content)


class Errors(unittest.TestCase):
    def test_classes(self):
        with self.assertRaises(anthropic.AuthenticationError):
            client("ab-wrong").messages.create(model=MODEL, messages=QUESTION, max_tokens=2)
        with self.assertRaises(anthropic.NotFoundError):
            ask(model="no-such-model")
        tool = {"name": "a b", "input_schema": {}}
        for bad in ({"extra_body": {"temperature": 9}}, {"messages": []}, {"tools": [tool]}):
            with self.subTest(**bad), self.assertRaises(anthropic.BadRequestError) as caught:
                ask(**bad)
            self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")


if __name__ == "__main__":
    unittest.main()
