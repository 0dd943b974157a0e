"""What an agent with a function tool does, over whichever API its model speaks."""

import os
import typing

import agents
import openai
import pydantic

MODEL = os.environ["AGENTBASE_TEST_MODEL"]


class Dice:
    """A tool that notes what it was called with."""

    def __init__(self):
        self.seen = []

    def tool(self):
        @agents.function_tool
        def roll(sides: typing.Annotated[int, pydantic.Field(ge=2, le=9)]) -> str:
            """Rolls a die."""
            self.seen.append(sides)
            return "It shows 2."

        return roll


class Shirt(pydantic.BaseModel):
    size: typing.Literal["S", "M", "L"]


class Runs:
    """Tests, for an asynchronous test case that has `model(client)`."""

    async def asyncSetUp(self):
        self.client = openai.AsyncOpenAI(max_retries=0, timeout=300)
        self.addAsyncCleanup(self.client.close)

    def agent(self, settings=None, **options):
        settings = {"temperature": 0, "max_tokens": 100} | (settings or {})
        return agents.Agent(
            name="dice",
            instructions="Answer in one sentence.",
            model=self.model(self.client),
            model_settings=agents.ModelSettings(**settings),
            **options,
        )

    async def test_an_answer(self):
        result = await agents.Runner.run(self.agent(), "What is the capital of France?")
        self.assertIn("Paris", result.final_output)
        usage = result.context_wrapper.usage
        self.assertEqual(usage.requests, 1)
        self.assertEqual(usage.total_tokens, usage.input_tokens + usage.output_tokens)

    async def test_a_function_tool_is_called_and_its_result_goes_back(self):
        dice = Dice()
        settings = {"tool_choice": "required", "parallel_tool_calls": False}
        calling = self.agent(
            tools=[dice.tool()], settings=settings, tool_use_behavior="stop_on_first_tool"
        )
        result = await agents.Runner.run(calling, "Roll a die.")
        self.assertEqual(result.final_output, "It shows 2.")
        self.assertEqual(len(dice.seen), 1)
        self.assertTrue(2 <= dice.seen[0] <= 9)
        # The call and what came of it, as the next turn of a conversation.
        turns = [*result.to_input_list(), {"role": "user", "content": "What did it show?"}]
        silent = self.agent(tools=[dice.tool()], settings={"tool_choice": "none"})
        answer = await agents.Runner.run(silent, turns)
        self.assertTrue(answer.final_output)

    async def test_a_stream_says_the_same(self):
        whole = await agents.Runner.run(self.agent(), "What is the capital of France?")
        streamed = agents.Runner.run_streamed(self.agent(), "What is the capital of France?")
        text = ""
        async for event in streamed.stream_events():
            if event.type == "raw_response_event":
                if event.data.type == "response.output_text.delta":
                    text += event.data.delta
        self.assertEqual(text, whole.final_output)
        self.assertEqual(streamed.final_output, text)

    async def test_a_tool_in_a_stream(self):
        dice = Dice()
        calling = self.agent(
            tools=[dice.tool()],
            settings={"tool_choice": "required", "parallel_tool_calls": False},
            tool_use_behavior="stop_on_first_tool",
        )
        streamed = agents.Runner.run_streamed(calling, "Roll a die.")
        names = [
            event.name
            async for event in streamed.stream_events()
            if event.type == "run_item_stream_event"
        ]
        self.assertIn("tool_called", names)
        self.assertIn("tool_output", names)
        self.assertEqual(len(dice.seen), 1)

    async def test_an_output_type(self):
        result = await agents.Runner.run(self.agent(output_type=Shirt), "Which size?")
        self.assertIsInstance(result.final_output, Shirt)
