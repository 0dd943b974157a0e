"""OpenAI's own Python client against a running server and a real model."""

import os
import unittest

import openai

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


def client(**options):
    """Address and key come from the environment, as in any program that uses the client."""
    return openai.OpenAI(max_retries=0, timeout=300, **options)


def chat(**options):
    options = {"model": MODEL, "messages": QUESTION, "max_tokens": 24, "temperature": 0} | options
    return client().chat.completions.create(**options)


def complete(**options):
    options = {"model": MODEL, "prompt": "One, two, three,", "max_tokens": 8} | options
    return client().completions.create(**({"temperature": 0} | options))


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        self.assertIn(MODEL, [model.id for model in client().models.list()])
        model = client().models.retrieve(MODEL)
        self.assertEqual((model.id, model.object), (MODEL, "model"))


class LongLived(unittest.TestCase):
    """Deadlines, keys and classes, as the client sends them."""

    LONG = {"max_tokens": 1500, "extra_body": {"ignore_eos": True}}

    def test_a_deadline_in_the_body_and_in_a_header(self):
        body = {"ignore_eos": True, "timeout": 0.3}
        with self.assertRaises(openai.APIStatusError) as caught:
            # Told not to, the client does not try again.
            openai.OpenAI(max_retries=5, timeout=300).chat.completions.create(
                model=MODEL, messages=QUESTION, max_tokens=1500, extra_body=body
            )
        self.assertEqual((caught.exception.status_code, caught.exception.code), (408, "deadline_exceeded"))
        with self.assertRaises(openai.APIError) as caught:
            list(chat(stream=True, extra_headers={"x-request-timeout": "0.3"}, **self.LONG))
        self.assertEqual(caught.exception.code, "deadline_exceeded")

    def test_a_key_is_answered_once(self):
        ask = client().chat.completions.with_raw_response.create
        asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 8, "temperature": 1.5}
        headers = {"Idempotency-Key": "python-client"}
        first, again = (ask(**asked, extra_headers=headers) for _ in range(2))
        self.assertNotIn("idempotent-replayed", first.headers)
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(first.parse(), again.parse())
        with self.assertRaises(openai.UnprocessableEntityError) as caught:
            ask(**(asked | {"max_tokens": 9}), extra_headers=headers)
        self.assertEqual(caught.exception.code, "idempotency_key_reused")

    def test_a_stream_is_cancelled_by_its_id(self):
        stream = chat(stream=True, **self.LONG)
        with self.assertRaises(openai.APIError) as caught:
            for number, chunk in enumerate(stream):
                if number == 3:
                    done = client().post(f"/requests/{chunk.id}/cancel", cast_to=object)
                    self.assertTrue(done["cancelled"])
        self.assertEqual(caught.exception.code, "request_cancelled")

    def test_options_that_leave_the_answer_as_it_is(self):
        whole = chat()
        text = whole.choices[0].message.content
        answer = chat(
            prediction={"type": "content", "content": text},
            service_tier="flex",
            reasoning_effort="low",
            verbosity="low",
            metadata={"a": "b"},
            safety_identifier="x",
            prompt_cache_key="y",
        )
        self.assertEqual(answer.choices[0].message.content, text)
        self.assertEqual(answer.service_tier, "flex")
        details = answer.usage.completion_tokens_details
        self.assertGreater(details.accepted_prediction_tokens, 0)


class Chat(unittest.TestCase):
    def test_answer(self):
        answer = chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.model, MODEL)
        choice = answer.choices[0]
        self.assertEqual(choice.message.role, "assistant")
        self.assertIn("Paris", choice.message.content)
        self.assertIn(choice.finish_reason, ("stop", "length"))
        usage = answer.usage
        self.assertGreater(usage.prompt_tokens, 10)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_stream_says_the_same(self):
        whole = chat()
        stream = list(chat(stream=True, stream_options={"include_usage": True}))
        pieces = [chunk.choices[0] for chunk in stream if chunk.choices]
        self.assertEqual(pieces[0].delta.role, "assistant")
        text = "".join(piece.delta.content or "" for piece in pieces)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertGreater(sum(1 for piece in pieces if piece.delta.content), 3)
        reasons = [piece.finish_reason for piece in pieces if piece.finish_reason]
        self.assertEqual(reasons, [whole.choices[0].finish_reason])
        self.assertEqual(stream[-1].choices, [])
        self.assertEqual(stream[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertTrue(all(chunk.usage is None for chunk in stream[:-1]))
        self.assertEqual({chunk.object for chunk in stream}, {"chat.completion.chunk"})
        self.assertEqual(len({chunk.id for chunk in stream}), 1)

    def test_stream_without_usage(self):
        stream = list(chat(stream=True, max_tokens=4))
        self.assertTrue(all(chunk.usage is None for chunk in stream))
        self.assertEqual(stream[-1].choices[0].finish_reason, "length")

    def test_stream_helper(self):
        with client().chat.completions.stream(
            model=MODEL, messages=QUESTION, max_tokens=24, temperature=0
        ) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].message.content, text)
        self.assertIn("Paris", text)

    def test_several_choices(self):
        answer = chat(n=3, temperature=1.0, seed=1, max_tokens=12)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertGreater(len({choice.message.content for choice in answer.choices}), 1)
        self.assertLessEqual(answer.usage.completion_tokens, 36)
        again = chat(n=3, temperature=1.0, seed=1, max_tokens=12)
        texts = [[choice.message.content for choice in a.choices] for a in (answer, again)]
        self.assertEqual(*texts)

    def test_several_choices_streamed(self):
        whole = chat(n=2, temperature=1.0, seed=5, max_tokens=12)
        texts = ["", ""]
        for chunk in chat(n=2, temperature=1.0, seed=5, max_tokens=12, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
        self.assertEqual(texts, [choice.message.content for choice in whole.choices])

    def test_stop_string_is_cut_off(self):
        full = chat().choices[0].message.content
        stop = full[6:9]
        answer = chat(stop=[stop, "never said"])
        self.assertEqual(answer.choices[0].message.content, full[: full.index(stop)])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        streamed = "".join(
            chunk.choices[0].delta.content or "" for chunk in chat(stop=stop, stream=True)
        )
        self.assertEqual(streamed, full[: full.index(stop)])

    def test_logprobs(self):
        answer = chat(logprobs=True, top_logprobs=3, max_tokens=6)
        tokens = answer.choices[0].logprobs.content
        # The token that ends the answer is counted, and is not part of the text.
        self.assertIn(answer.usage.completion_tokens - len(tokens), (0, 1))
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].token, token.token)
        text = b"".join(bytes(token.bytes) for token in tokens).decode()
        self.assertTrue(text.startswith(answer.choices[0].message.content))

    def test_logit_bias_forbids_a_token(self):
        first = chat(logprobs=True, max_tokens=1).choices[0].logprobs.content[0].token
        body = {"model": MODEL, "prompt": first, "add_special_tokens": False}
        server = client().with_options(base_url=str(client().base_url).replace("/v1", ""))
        ids = server.post("/tokenize", body=body, cast_to=object)["tokens"]
        other = chat(logprobs=True, max_tokens=1, logit_bias={str(ids[0]): -100})
        self.assertNotEqual(other.choices[0].logprobs.content[0].token, first)

    def test_second_turn_is_cached(self):
        # Nobody asked this before, so nothing of it is cached yet.
        question = {"role": "user", "content": f"Tell me of ships. ({os.urandom(8).hex()})"}
        first = chat(messages=[question], max_tokens=48)
        answer = {"role": "assistant", "content": first.choices[0].message.content}
        more = {"role": "user", "content": "And of harbours?"}
        second = chat(messages=[question, answer, more], max_tokens=8)
        cached = second.usage.prompt_tokens_details.cached_tokens
        # Whole blocks of 16 tokens of all that the first turn had computed.
        self.assertGreaterEqual(cached, first.usage.prompt_tokens - 16)
        self.assertLess(cached, second.usage.prompt_tokens)

    def test_many_at_once(self):
        import concurrent.futures

        alone = chat(max_tokens=16).choices[0].message.content
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: chat(max_tokens=16), range(8)))
        for answer in answers:
            self.assertEqual(answer.choices[0].message.content, alone)

    def test_hanging_up_early(self):
        stream = chat(stream=True, max_tokens=500)
        next(iter(stream))
        stream.close()
        self.assertTrue(chat(max_tokens=2).choices[0].message.content)


class Completions(unittest.TestCase):
    def test_text(self):
        answer = complete()
        self.assertEqual(answer.object, "text_completion")
        self.assertIn("four", answer.choices[0].text)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 8)

    def test_stream(self):
        options = {"stream_options": {"include_usage": True}}
        chunks = list(complete(stream=True, **options))
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        self.assertEqual(text, complete().choices[0].text)
        self.assertEqual(chunks[-1].usage.completion_tokens, 8)

    def test_echo_scores_the_prompt(self):
        """As evaluation harnesses do: no new token, the prompt's own log-probabilities."""
        prompt = "The quick brown fox jumps over the lazy dog"
        answer = complete(prompt=prompt, echo=True, logprobs=1, max_tokens=0)
        choice = answer.choices[0]
        self.assertEqual(choice.text, prompt)
        self.assertEqual(len(choice.logprobs.tokens), answer.usage.prompt_tokens)
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertTrue(all(score < 0 for score in choice.logprobs.token_logprobs[1:]))
        self.assertEqual("".join(choice.logprobs.tokens), prompt)
        self.assertEqual(choice.logprobs.text_offset[:2], [0, len(choice.logprobs.tokens[0])])

    def test_echo_with_new_tokens(self):
        plain, echoed = complete(logprobs=2), complete(logprobs=2, echo=True)
        self.assertEqual(echoed.choices[0].text, "One, two, three," + plain.choices[0].text)
        new = len(plain.choices[0].logprobs.tokens)
        self.assertEqual(new, 8)
        self.assertEqual(
            echoed.choices[0].logprobs.tokens[-new:], plain.choices[0].logprobs.tokens
        )

    def test_many_prompts(self):
        answer = complete(prompt=["One, two, three,", "Red, green,"], n=2, max_tokens=4)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2, 3])
        self.assertEqual(answer.choices[0].text, answer.choices[1].text)


class Errors(unittest.TestCase):
    def test_wrong_key(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            client(api_key="ab-wrong").chat.completions.create(model=MODEL, messages=QUESTION)
        self.assertEqual(caught.exception.code, "invalid_api_key")

    def test_unknown_model(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            chat(model="no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("no-such-model")

    def test_prompt_too_long(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            chat(messages=[{"role": "user", "content": "word " * 20000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_bad_parameters(self):
        for bad in ({"temperature": -1}, {"n": 0}, {"messages": []}, {"top_p": 2}):
            with self.subTest(**bad), self.assertRaises(openai.BadRequestError) as caught:
                chat(**bad)
            self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_error_before_a_stream_begins(self):
        with self.assertRaises(openai.NotFoundError):
            chat(model="no-such-model", stream=True)


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_stream(self):
        async with openai.AsyncOpenAI(max_retries=0, timeout=300) as asynchronous:
            stream = await asynchronous.chat.completions.create(
                model=MODEL, messages=QUESTION, max_tokens=24, temperature=0, stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        self.assertIn("Paris", text)


if __name__ == "__main__":
    unittest.main()
