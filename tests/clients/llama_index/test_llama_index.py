"""LlamaIndex' OpenAILike against a running server and a real model."""

import os
import typing
import unittest

import pydantic
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = [ChatMessage("What is the capital of France? Answer in one sentence.")]


def model(**options):
    options = {"temperature": 0, "max_tokens": 100, "is_chat_model": True} | options
    return OpenAILike(
        model=MODEL,
        api_base=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        context_window=8192,
        max_retries=0,
        timeout=300,
        **options,
    )


def roll(sides: int) -> int:
    """Rolls a die."""
    return 2


class Chat(unittest.TestCase):
    def test_chat(self):
        response = model().chat(QUESTION)
        self.assertIn("Paris", response.message.content)
        usage = response.raw.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_a_stream_says_the_same(self):
        whole = model().chat(QUESTION).message.content
        pieces = list(model().stream_chat(QUESTION))
        self.assertEqual("".join(piece.delta or "" for piece in pieces), whole)
        self.assertEqual(pieces[-1].message.content, whole)
        self.assertGreater(len(pieces), 3)

    def test_tools(self):
        llm = model(is_function_calling_model=True)
        tools = [FunctionTool.from_defaults(roll)]
        response = llm.chat_with_tools(tools, "Roll a die.", tool_required=True)
        calls = llm.get_tool_calls_from_response(response)
        self.assertTrue(calls)
        for call in calls:
            self.assertEqual(call.tool_name, "roll")
            self.assertIsInstance(call.tool_kwargs["sides"], int)

    def test_structured_output(self):
        class Shirt(pydantic.BaseModel):
            """A shirt."""

            size: typing.Literal["S", "M", "L"]

        structured = model(is_function_calling_model=True).as_structured_llm(Shirt)
        self.assertIsInstance(structured.chat(QUESTION).raw, Shirt)


class Completions(unittest.TestCase):
    def test_complete_and_stream(self):
        llm = model(is_chat_model=False, max_tokens=8)
        text = llm.complete("One, two, three,").text
        self.assertIn("four", text)
        pieces = list(llm.stream_complete("One, two, three,"))
        self.assertEqual("".join(piece.delta or "" for piece in pieces), text)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_chat_and_stream(self):
        whole = (await model().achat(QUESTION)).message.content
        pieces = [piece.delta or "" async for piece in await model().astream_chat(QUESTION)]
        self.assertEqual("".join(pieces), whole)


if __name__ == "__main__":
    unittest.main()
