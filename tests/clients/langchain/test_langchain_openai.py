"""LangChain's ChatOpenAI against a running server and a real model."""

import os
import typing
import unittest

import openai
import pydantic
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = "What is the capital of France? Answer in one sentence."


def model(**options):
    options = {"temperature": 0, "max_tokens": 100} | options
    return ChatOpenAI(model=MODEL, max_retries=0, timeout=300, **options)


@tool
def roll(sides: typing.Annotated[int, pydantic.Field(ge=2, le=9)]) -> int:
    """Rolls a die."""
    return 2


class Shirt(pydantic.BaseModel):
    """A shirt."""

    size: typing.Literal["S", "M", "L"]
    fits: bool


class Chat(unittest.TestCase):
    def test_invoke(self):
        message = model().invoke(QUESTION)
        self.assertIn("Paris", message.content)
        self.assertEqual(message.response_metadata["finish_reason"], "stop")
        usage = message.usage_metadata
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])

    def test_a_stream_says_the_same(self):
        whole = model().invoke(QUESTION)
        chunks = list(model(stream_usage=True).stream(QUESTION))
        self.assertGreater(len(chunks), 3)
        self.assertEqual("".join(chunk.content for chunk in chunks), whole.content)
        total = chunks[0]
        for chunk in chunks[1:]:
            total += chunk
        self.assertEqual(
            total.usage_metadata["output_tokens"], whole.usage_metadata["output_tokens"]
        )

    def test_batch(self):
        alone = model().invoke(QUESTION).content
        answers = model().batch([QUESTION] * 3)
        self.assertEqual([answer.content for answer in answers], [alone] * 3)

    def test_logprobs(self):
        message = model(logprobs=True, top_logprobs=2).invoke(QUESTION)
        content = message.response_metadata["logprobs"]["content"]
        self.assertEqual(len(content[0]["top_logprobs"]), 2)

    def test_errors_are_openais(self):
        with self.assertRaises(openai.NotFoundError):
            ChatOpenAI(model="no-such-model", max_retries=0).invoke(QUESTION)
        with self.assertRaises(openai.BadRequestError):
            model(temperature=5).invoke(QUESTION)


class Tools(unittest.TestCase):
    def bound(self, choice, **options):
        return model().bind_tools([roll], tool_choice=choice, parallel_tool_calls=False, **options)

    def check_calls(self, message):
        self.assertTrue(message.tool_calls)
        self.assertEqual(message.invalid_tool_calls, [])
        for call in message.tool_calls:
            self.assertEqual(call["name"], "roll")
            self.assertTrue(2 <= call["args"]["sides"] <= 9, call)

    def test_a_required_and_a_named_call(self):
        for choice in ("required", "roll"):
            with self.subTest(choice=choice):
                self.check_calls(self.bound(choice).invoke("Roll a die."))

    def test_a_call_in_a_stream(self):
        total = None
        for chunk in self.bound("required").stream("Roll a die."):
            total = chunk if total is None else total + chunk
        self.check_calls(total)

    def test_a_result_goes_back(self):
        called = self.bound("required").invoke("Roll a die.")
        call = called.tool_calls[0]
        turns = [HumanMessage("Roll a die."), called]
        turns.append(ToolMessage(str(roll.invoke(call["args"])), tool_call_id=call["id"]))
        answer = self.bound("none").invoke(turns)
        self.assertIsInstance(answer, AIMessage)
        self.assertTrue(answer.content)


class Structured(unittest.TestCase):
    def test_every_method(self):
        for method in ("json_schema", "function_calling"):
            with self.subTest(method=method):
                shirt = model().with_structured_output(Shirt, method=method).invoke("A shirt?")
                self.assertIsInstance(shirt, Shirt)


class Completions(unittest.TestCase):
    def test_text(self):
        llm = OpenAI(model=MODEL, temperature=0, max_tokens=8, max_retries=0, timeout=300)
        text = llm.invoke("One, two, three,")
        self.assertIn("four", text)
        self.assertEqual("".join(llm.stream("One, two, three,")), text)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_stream(self):
        chunks = [chunk.content async for chunk in model().astream(QUESTION)]
        self.assertIn("Paris", "".join(chunks))


if __name__ == "__main__":
    unittest.main()
