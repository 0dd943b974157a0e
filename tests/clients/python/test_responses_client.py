"""OpenAI's own Python client against the Responses API, conversations and stored completions."""

import json
import os
import time
import unittest
from typing import Literal

import openai
import pydantic

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = "What is the capital of France? Answer in one sentence."
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def client(**options):
    """Address and key come from the environment, as in any program that uses the client."""
    return openai.OpenAI(max_retries=0, timeout=300, **options)


def respond(**options):
    options = {"model": MODEL, "input": QUESTION, "max_output_tokens": 24} | options
    return client().responses.create(**({"temperature": 0} | options))


class Country(pydantic.BaseModel):
    """Nothing in it can go on for ever: what is cut the client cannot parse."""

    name: Literal["France", "Spain"]
    capital: Literal["Paris", "Madrid"]
    is_island: bool


class Responses(unittest.TestCase):
    def test_answer(self):
        response = respond(metadata={"k": "v"})
        self.assertEqual((response.object, response.status), ("response", "completed"))
        self.assertIn("Paris", response.output_text)
        self.assertEqual((response.model, response.metadata), (MODEL, {"k": "v"}))
        usage = response.usage
        self.assertEqual(usage.total_tokens, usage.input_tokens + usage.output_tokens)
        self.assertEqual(client().responses.retrieve(response.id), response)
        counted = client().responses.input_tokens.count(model=MODEL, input=QUESTION)
        self.assertEqual(counted.input_tokens, usage.input_tokens)

    def test_stream_says_the_same(self):
        whole = respond()
        events = list(respond(stream=True))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), whole.output_text)
        self.assertGreater(len(deltas), 3)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertEqual(events[-1].type, "response.completed")
        self.assertEqual(events[-1].response.output_text, whole.output_text)

    def test_stream_helper(self):
        with client().responses.stream(
            model=MODEL, input=QUESTION, max_output_tokens=24, temperature=0
        ) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            final = stream.get_final_response()
        self.assertEqual(final.output_text, text)
        self.assertIn("Paris", text)

    def test_what_is_cut_is_incomplete(self):
        response = respond(max_output_tokens=3)
        self.assertEqual(response.status, "incomplete")
        self.assertEqual(response.incomplete_details.reason, "max_output_tokens")

    def test_a_response_follows_another(self):
        first = respond(input="My name is Bo. Say hello.", instructions="You are a pirate.")
        second = respond(input="What is my name?", previous_response_id=first.id)
        self.assertEqual(second.previous_response_id, first.id)
        items = [
            {"role": "user", "content": "My name is Bo. Say hello."},
            *first.output,
            {"role": "user", "content": "What is my name?"},
        ]
        same = respond(input=items, store=False)
        self.assertEqual(second.output_text, same.output_text)
        self.assertEqual(second.usage.input_tokens, same.usage.input_tokens)

    def test_a_call_and_its_result(self):
        first = respond(
            input="How is the weather in Paris?",
            tools=[WEATHER],
            tool_choice="required",
            parallel_tool_calls=False,
            max_output_tokens=100,
        )
        call = first.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "weather"))
        self.assertEqual(json.loads(call.arguments), {"city": "Paris"})
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
        second = respond(input=[result], previous_response_id=first.id, tools=[WEATHER])
        self.assertTrue(second.output)
        by_hand = [{"role": "user", "content": "How is the weather in Paris?"}, call, result]
        third = respond(input=by_hand, tools=[WEATHER], store=False)
        self.assertEqual(third.usage.input_tokens, second.usage.input_tokens)
        with self.assertRaises(openai.BadRequestError) as caught:
            respond(input=[result])
        self.assertEqual(caught.exception.param, "input[0].call_id")

    def test_a_call_in_a_stream(self):
        with client().responses.stream(
            model=MODEL,
            input="How is the weather in Paris?",
            tools=[WEATHER],
            tool_choice={"type": "function", "name": "weather"},
            max_output_tokens=100,
        ) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        self.assertIn("response.function_call_arguments.delta", kinds)
        self.assertEqual(final.output[0].parsed_arguments, {"city": "Paris"})

    def test_parse(self):
        response = client().responses.parse(
            model=MODEL,
            input="Describe France.",
            text_format=Country,
            max_output_tokens=120,
            temperature=0,
        )
        self.assertIsInstance(response.output_parsed, Country)

    def test_logprobs(self):
        response = respond(
            include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=4
        )
        logprobs = response.output[0].content[0].logprobs
        self.assertTrue(all(len(token.top_logprobs) == 2 for token in logprobs))
        text = b"".join(bytes(token.bytes) for token in logprobs).decode()
        self.assertEqual(text, response.output_text)

    def test_input_items_and_deletion(self):
        response = respond(input=[{"role": "user", "content": str(n)} for n in range(5)])
        listed = client().responses.input_items.list(response.id, order="asc", limit=2)
        texts = [item.content[0].text for item in listed]
        self.assertEqual(texts, ["0", "1", "2", "3", "4"])
        client().responses.delete(response.id)
        with self.assertRaises(openai.NotFoundError):
            client().responses.retrieve(response.id)

    def test_background(self):
        response = respond(background=True)
        self.assertIn(response.status, ("queued", "in_progress"))
        while response.status in ("queued", "in_progress"):
            time.sleep(0.05)
            response = client().responses.retrieve(response.id)
        self.assertEqual(response.output_text, respond().output_text)

    def test_background_is_streamed_and_taken_up_again(self):
        events = []
        for event in respond(background=True, stream=True):
            events.append(event)
            if len(events) == 5:
                break
        response_id = events[0].response.id
        rest = client().responses.retrieve(
            response_id, stream=True, starting_after=events[-1].sequence_number
        )
        events += list(rest)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertEqual(events[-1].type, "response.completed")

    def test_cancel(self):
        response = respond(
            input="Count from 1 to 5000.", background=True, max_output_tokens=1500
        )
        cancelled = client().responses.cancel(response.id)
        self.assertEqual(cancelled.status, "cancelled")
        self.assertEqual(client().responses.retrieve(response.id).status, "cancelled")

    def test_errors(self):
        for options, param in [
            ({"temperature": 3}, "temperature"),
            ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
            ({"previous_response_id": "resp_none"}, "previous_response_id"),
        ]:
            with self.assertRaises(openai.BadRequestError) as caught:
                respond(**options)
            self.assertEqual(caught.exception.param, param)


class Conversations(unittest.TestCase):
    def test_items(self):
        conversations = client().conversations
        conversation = conversations.create(
            metadata={"k": "v"}, items=[{"type": "message", "role": "user", "content": "one"}]
        )
        self.assertEqual(conversations.retrieve(conversation.id), conversation)
        added = conversations.items.create(
            conversation.id, items=[{"role": "user", "content": str(n)} for n in range(5)]
        )
        self.assertEqual(len(added.data), 5)
        listed = conversations.items.list(conversation.id, order="asc", limit=4)
        texts = [item.content[0].text for item in listed]
        self.assertEqual(texts, ["one", "0", "1", "2", "3", "4"])
        item = conversations.items.retrieve(added.data[0].id, conversation_id=conversation.id)
        self.assertEqual(item.content[0].text, "0")
        conversations.items.delete(item.id, conversation_id=conversation.id)
        updated = conversations.update(conversation.id, metadata={"l": "w"})
        self.assertEqual(updated.metadata, {"l": "w"})
        self.assertTrue(conversations.delete(conversation.id).deleted)
        with self.assertRaises(openai.NotFoundError):
            conversations.retrieve(conversation.id)

    def test_responses_are_part_of_one(self):
        conversation = client().conversations.create()
        first = respond(conversation=conversation.id)
        second = respond(input="And of Spain?", conversation=conversation.id)
        self.assertEqual(second.conversation.id, conversation.id)
        listed = client().conversations.items.list(conversation.id, order="asc")
        texts = [item.content[0].text for item in listed]
        self.assertEqual(
            texts, [QUESTION, first.output_text, "And of Spain?", second.output_text]
        )
        self.assertGreater(second.usage.input_tokens, first.usage.input_tokens)


class StoredCompletions(unittest.TestCase):
    def test_stored(self):
        mark = os.urandom(8).hex()
        completions = client().chat.completions
        options = {
            "model": MODEL,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": 8,
            "temperature": 0,
            "store": True,
            "metadata": {"mark": mark},
        }
        whole = completions.create(**options)
        chunks = list(completions.create(**options, stream=True))
        self.assertEqual(chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
        stored = list(completions.list(metadata={"mark": mark}, limit=1))
        self.assertEqual([one.id for one in stored], [whole.id, chunks[0].id])
        texts = {one.choices[0].message.content for one in stored}
        self.assertEqual(texts, {whole.choices[0].message.content})
        messages = list(completions.messages.list(whole.id))
        self.assertEqual(messages[0].content, QUESTION)
        updated = completions.update(whole.id, metadata={"other": "x"})
        self.assertEqual(updated.metadata, {"other": "x"})
        self.assertEqual(len(list(completions.list(metadata={"mark": mark}))), 1)
        self.assertTrue(completions.delete(whole.id).deleted)
        with self.assertRaises(openai.NotFoundError):
            completions.retrieve(whole.id)


if __name__ == "__main__":
    unittest.main()
