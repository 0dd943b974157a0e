"""LangChain's ChatAnthropic against a running server and a real model."""

import os
import typing
import unittest

import anthropic
import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = "What is the capital of France? Answer in one sentence."


def model(**options):
    options = {"temperature": 0, "max_tokens": 100, "model": MODEL} | options
    return ChatAnthropic(
        base_url=os.environ["OPENAI_BASE_URL"].removesuffix("/v1"),
        api_key=os.environ["OPENAI_API_KEY"],
        max_retries=0,
        timeout=300,
        **options,
    )


@tool
def roll(sides: typing.Annotated[int, pydantic.Field(ge=2, le=9)]) -> int:
    """Rolls a die."""
    return 2


class Messages(unittest.TestCase):
    def test_invoke(self):
        message = model().invoke([SystemMessage("You answer in English."), HumanMessage(QUESTION)])
        self.assertIn("Paris", message.content)
        self.assertEqual(message.response_metadata["stop_reason"], "end_turn")
        usage = message.usage_metadata
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])

    def test_a_stream_says_the_same(self):
        whole = model().invoke(QUESTION)
        total = None
        for chunk in model().stream(QUESTION):
            total = chunk if total is None else total + chunk
        text = total.content
        if isinstance(text, list):
            text = "".join(block.get("text", "") for block in text)
        self.assertEqual(text, whole.content)
        self.assertEqual(
            total.usage_metadata["output_tokens"], whole.usage_metadata["output_tokens"]
        )

    def test_tools_whole_and_streamed(self):
        bound = model().bind_tools([roll], tool_choice="any", parallel_tool_calls=False)
        message = bound.invoke("Roll a die.")
        total = None
        for chunk in bound.stream("Roll a die."):
            total = chunk if total is None else total + chunk
        for answer in (message, total):
            (call,) = answer.tool_calls
            self.assertEqual(call["name"], "roll")
            self.assertTrue(2 <= call["args"]["sides"] <= 9, call)
        (call,) = message.tool_calls
        turns = [HumanMessage("Roll a die."), message, ToolMessage("2", tool_call_id=call["id"])]
        answer = model().bind_tools([roll], tool_choice={"type": "none"}).invoke(turns)
        self.assertTrue(answer.content)

    def test_structured_output(self):
        class Shirt(pydantic.BaseModel):
            """A shirt."""

            size: typing.Literal["S", "M", "L"]

        for method in ("function_calling", "json_schema"):
            with self.subTest(method=method):
                shirt = model().with_structured_output(Shirt, method=method).invoke("A shirt?")
                self.assertIsInstance(shirt, Shirt)

    def test_tokens_are_counted(self):
        counted = model().get_num_tokens_from_messages([HumanMessage(QUESTION)])
        self.assertEqual(counted, model().invoke(QUESTION).usage_metadata["input_tokens"])

    def test_errors_are_anthropics(self):
        with self.assertRaises(anthropic.NotFoundError):
            model(model="no-such-model").invoke(QUESTION)


if __name__ == "__main__":
    unittest.main()
