"""Schemas and functions by OpenAI's own Python client, on a model too small to get them right by
itself: what it says must fit all the same."""

import json
import os
import typing
import unittest

import openai
import pydantic

MODEL = os.environ["AGENTBASE_TEST_MODEL"]


def client():
    return openai.OpenAI(max_retries=0, timeout=300)


def chat(text, **options):
    messages = [{"role": "user", "content": text}]
    return client().chat.completions.create(model=MODEL, messages=messages, **options)


class Step(pydantic.BaseModel):
    explanation: typing.Annotated[str, pydantic.StringConstraints(max_length=40)]
    result: int


class Solution(pydantic.BaseModel):
    kind: typing.Literal["sum", "product"]
    steps: typing.Annotated[list[Step], pydantic.Field(min_length=1, max_length=2)]
    certain: bool


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"enum": ["C", "F"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Schemas(unittest.TestCase):
    def test_parse_gives_an_object_at_every_temperature(self):
        for temperature in (0, 0.7, 1, 2):
            answer = client().chat.completions.parse(
                model=MODEL,
                messages=[{"role": "user", "content": "What is 2 + 3?"}],
                response_format=Solution,
                temperature=temperature,
                seed=1,
                max_tokens=400,
            )
            self.assertIsInstance(answer.choices[0].message.parsed, Solution)
            self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_an_answer_that_is_cut_says_so(self):
        with self.assertRaises(openai.LengthFinishReasonError):
            client().chat.completions.parse(
                model=MODEL,
                messages=[{"role": "user", "content": "What is 2 + 3?"}],
                response_format=Solution,
                max_tokens=3,
            )

    def test_json_object_and_streams(self):
        chunks = [
            chunk.choices[0]
            for chunk in chat(
                'Repeat: {"name": "Ann"}',
                response_format={"type": "json_object"},
                stream=True,
                temperature=0,
                max_tokens=300,
            )
        ]
        text = "".join(chunk.delta.content or "" for chunk in chunks)
        self.assertGreater(len(chunks), 3)
        self.assertEqual(chunks[-1].finish_reason, "stop", text)
        self.assertIsInstance(json.loads(text), dict)

    def test_vllms_names(self):
        for extra, allowed in (
            ({"guided_choice": ["red", "blue"]}, ("red", "blue")),
            ({"structured_outputs": {"choice": ["red", "blue"]}}, ("red", "blue")),
            ({"guided_regex": "[ab]"}, ("a", "b")),
            ({"guided_grammar": 'root ::= "x" | "y"'}, ("x", "y")),
        ):
            answer = chat("Which?", extra_body=extra, temperature=1, seed=2)
            self.assertIn(answer.choices[0].message.content, allowed)

    def test_a_schema_that_cannot_be_honoured(self):
        schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}
        with self.assertRaises(openai.BadRequestError) as caught:
            chat("x", response_format=schema)
        self.assertEqual(caught.exception.param, "response_format")
        self.assertIn('"not"', caught.exception.message)


class Functions(unittest.TestCase):
    def test_required_and_named_calls(self):
        named = {"type": "function", "function": {"name": "get_weather"}}
        for choice in ("required", named):
            answer = chat(
                "How warm is it in Rome?",
                tools=[WEATHER],
                tool_choice=choice,
                parallel_tool_calls=False,
                max_tokens=200,
                temperature=0,
            )
            (call,) = answer.choices[0].message.tool_calls
            self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
            arguments = json.loads(call.function.arguments)
            self.assertIn(arguments["unit"], ("C", "F"))
            self.assertIsNone(answer.choices[0].message.content)
            reason = "tool_calls" if choice == "required" else "stop"
            self.assertEqual(answer.choices[0].finish_reason, reason)

    def test_the_stream_helper_gathers_a_call(self):
        with client().chat.completions.stream(
            model=MODEL,
            messages=[{"role": "user", "content": "How warm is it in Rome?"}],
            tools=[WEATHER],
            tool_choice="required",
            parallel_tool_calls=False,
            max_tokens=200,
            temperature=0,
        ) as stream:
            deltas = sum(1 for event in stream if event.type.startswith("tool_calls."))
            (call,) = stream.get_final_completion().choices[0].message.tool_calls
        self.assertGreater(deltas, 3)
        self.assertIn("city", json.loads(call.function.arguments))

    def test_a_result_is_taken(self):
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Rome", "unit": "C"}'},
        }

        def answer(result):
            (choice,) = client().chat.completions.create(
                model=MODEL,
                messages=[
                    {"role": "user", "content": "How warm is it in Rome?"},
                    {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "call_1", "content": result},
                ],
                tools=[WEATHER],
                tool_choice="none",
                max_tokens=24,
                temperature=0,
                logprobs=True,
            ).choices
            return choice

        # Not that a small model repeats the number: that it is among what the model sees.
        warm, again, cold = (answer(f'{{"celsius": {n}}}') for n in (21, 21, -9))
        likely = [choice.logprobs.content[0].logprob for choice in (warm, again, cold)]
        self.assertEqual(likely[0], likely[1])
        self.assertNotEqual(likely[0], likely[2])
        self.assertTrue(warm.message.content)
        self.assertIsNone(warm.message.tool_calls)

    def test_a_result_without_its_call(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            client().chat.completions.create(
                model=MODEL,
                messages=[{"role": "tool", "tool_call_id": "x", "content": "21"}],
            )
        self.assertEqual(caught.exception.param, "messages[0].tool_call_id")


if __name__ == "__main__":
    unittest.main()
