"""instructor over OpenAI's client: objects of a type, by JSON schemas and by tools."""

import os
import typing
import unittest

import instructor
import openai
import pydantic
from instructor.core.exceptions import IncompleteOutputException

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = [{"role": "user", "content": "Describe a small red ball."}]
OPTIONS = {"temperature": 0, "max_tokens": 200, "max_retries": 0}


class Thing(pydantic.BaseModel, extra="forbid"):
    """A thing, and nothing more: with fields of its own making a small model need not end."""

    size: typing.Literal["S", "M", "L"]
    weight: typing.Annotated[int, pydantic.Field(ge=0, le=99)]
    round: bool


def client(mode):
    return instructor.from_openai(openai.OpenAI(max_retries=0, timeout=300), mode=mode)


class Modes(unittest.TestCase):
    def check(self, mode):
        thing, completion = client(mode).chat.completions.create_with_completion(
            model=MODEL, messages=QUESTION, response_model=Thing, **OPTIONS
        )
        self.assertIsInstance(thing, Thing)
        usage = completion.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        return completion.choices[0]

    def test_json_schema(self):
        choice = self.check(instructor.Mode.JSON_SCHEMA)
        self.assertEqual(choice.finish_reason, "stop")

    def test_tools(self):
        choice = self.check(instructor.Mode.TOOLS)
        self.assertEqual(choice.message.tool_calls[0].function.name, "Thing")

    def test_a_stream_of_partial_objects_ends_with_the_whole(self):
        for mode in (instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS):
            with self.subTest(mode=mode):
                whole = client(mode).chat.completions.create(
                    model=MODEL, messages=QUESTION, response_model=Thing, **OPTIONS
                )
                parts = client(mode).chat.completions.create_partial(
                    model=MODEL, messages=QUESTION, response_model=Thing, **OPTIONS
                )
                parts = list(parts)
                self.assertGreater(len(parts), 1)
                self.assertEqual(parts[-1].model_dump(), whole.model_dump())

    def test_an_answer_that_is_cut_is_told(self):
        with self.assertRaises(IncompleteOutputException):
            client(instructor.Mode.TOOLS).chat.completions.create(
                model=MODEL,
                messages=QUESTION,
                response_model=Thing,
                **(OPTIONS | {"max_tokens": 3}),
            )


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_json_schema(self):
        async with openai.AsyncOpenAI(max_retries=0, timeout=300) as plain:
            patched = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
            thing = await patched.chat.completions.create(
                model=MODEL, messages=QUESTION, response_model=Thing, **OPTIONS
            )
        self.assertIsInstance(thing, Thing)


if __name__ == "__main__":
    unittest.main()
