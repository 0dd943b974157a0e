"""AWS's own Python client, boto3's `bedrock-runtime`, against a running server and a real model."""

import json
import os
import unittest

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
ASKED = "What is the capital of France? Answer in one sentence."
QUESTION = [{"role": "user", "content": [{"text": ASKED}]}]
GREEDY = {"maxTokens": 24, "temperature": 0}
TOOL = {
    "toolSpec": {
        "name": "get_weather",
        "description": "The weather of a city",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            }
        },
    }
}


def client(**options):
    """Address and keys come from the environment, as in any program that uses the client."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=300)
    options = {"region_name": "eu-west-1", "config": config} | options
    return boto3.client("bedrock-runtime", **options)


def control_plane():
    """What models there are is asked of another of AWS's services."""
    config = Config(retries={"total_max_attempts": 1})
    address = os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"]
    return boto3.client("bedrock", region_name="eu-west-1", endpoint_url=address, config=config)


def by_token(token):
    """A client that has an API key and no pair. With `AWS_BEARER_TOKEN_BEDROCK` boto3 sends this
    very header, but only over TLS, which this server is not started with."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    unsigned = client(config=config)
    header = {"Authorization": f"Bearer {token}"}
    add = lambda params, **_: params["headers"].update(header)
    unsigned.meta.events.register("before-call", add)
    return unsigned


def converse(**options):
    options = {"modelId": MODEL, "messages": QUESTION, "inferenceConfig": GREEDY} | options
    return client().converse(**options)


def converse_stream(**options):
    options = {"modelId": MODEL, "messages": QUESTION, "inferenceConfig": GREEDY} | options
    return list(client().converse_stream(**options)["stream"])


def invoke(**body):
    answer = client().invoke_model(modelId=MODEL, body=json.dumps(body))
    return json.loads(answer["body"].read()), answer["ResponseMetadata"]["HTTPHeaders"]


def invoke_stream(**body):
    answer = client().invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(body))
    return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]


ANTHROPIC = {
    "anthropic_version": "bedrock-2023-05-31",
    "messages": [{"role": "user", "content": ASKED}],
    "max_tokens": 24,
    "temperature": 0,
}
OPENAI = {"messages": ANTHROPIC["messages"], "max_tokens": 24, "temperature": 0}


class Bearer(unittest.TestCase):
    def test_an_api_key_is_a_token(self):
        known = by_token(os.environ["OPENAI_API_KEY"])
        answer = known.converse(modelId=MODEL, messages=QUESTION, inferenceConfig=GREEDY)
        self.assertIn("Paris", answer["output"]["message"]["content"][0]["text"])

    def test_another_token_is_refused(self):
        unknown = by_token("ab-wrong")
        with self.assertRaises(unknown.exceptions.AccessDeniedException):
            unknown.converse(modelId=MODEL, messages=QUESTION)


@unittest.skipUnless("AWS_ACCESS_KEY_ID" in os.environ, "the key's AWS pair is not known")
class Signed(unittest.TestCase):
    def test_converse(self):
        answer = converse(system=[{"text": "You answer in English."}])
        message = answer["output"]["message"]
        self.assertEqual(message["role"], "assistant")
        self.assertIn("Paris", message["content"][0]["text"])
        self.assertIn(answer["stopReason"], ("end_turn", "max_tokens"))
        usage = answer["usage"]
        read = usage["inputTokens"] + usage["cacheReadInputTokens"]
        self.assertGreater(read, 10)
        self.assertEqual(usage["totalTokens"], read + usage["outputTokens"])
        self.assertGreater(answer["metrics"]["latencyMs"], 0)
        self.assertTrue(answer["ResponseMetadata"]["RequestId"])

    def test_stream_says_the_same(self):
        whole = converse()
        events = converse_stream()
        kinds = [kind for event in events for kind in event]
        self.assertEqual((kinds[0], kinds[-3:]),
                         ("messageStart", ["contentBlockStop", "messageStop", "metadata"]))
        self.assertEqual(set(kinds[1:-3]), {"contentBlockDelta"})
        text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events[1:-3])
        self.assertEqual(text, whole["output"]["message"]["content"][0]["text"])
        self.assertEqual(events[-2]["messageStop"]["stopReason"], whole["stopReason"])
        used = events[-1]["metadata"]["usage"]
        self.assertEqual(used["outputTokens"], whole["usage"]["outputTokens"])

    def test_limits_and_stops(self):
        self.assertEqual(converse(inferenceConfig={"maxTokens": 2})["stopReason"], "max_tokens")
        full = converse()["output"]["message"]["content"][0]["text"]
        stop = full[6:9]
        answer = converse(inferenceConfig=GREEDY | {"stopSequences": [stop]})
        self.assertEqual(answer["stopReason"], "stop_sequence")
        said = answer["output"]["message"]["content"][0]["text"]
        self.assertEqual(said, full[: full.index(stop)])

    def test_a_tool_is_called_and_its_result_taken(self):
        question = {"role": "user", "content": [{"text": "How warm is it in Rome?"}]}
        options = {
            "inferenceConfig": {"maxTokens": 200, "temperature": 0},
            "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "get_weather"}}},
        }
        answer = converse(messages=[question], **options)
        self.assertEqual(answer["stopReason"], "tool_use")
        (block,) = answer["output"]["message"]["content"]
        call = block["toolUse"]
        self.assertEqual((call["name"], list(call["input"])), ("get_weather", ["city"]))

        events = converse_stream(messages=[question], **options)
        kinds = [kind for event in events for kind in event]
        self.assertEqual(kinds[:3], ["messageStart", "contentBlockStart", "contentBlockDelta"])
        start = events[1]["contentBlockStart"]["start"]["toolUse"]
        self.assertEqual(start["name"], "get_weather")
        deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
        arguments = "".join(delta["delta"]["toolUse"]["input"] for delta in deltas)
        self.assertEqual(json.loads(arguments), call["input"])

        results = [{"json": {"degrees": 21}}, {"text": "It is sunny."}]
        result = {"toolResult": {"toolUseId": call["toolUseId"], "content": results}}
        turns = [question, answer["output"]["message"], {"role": "user", "content": [result]}]
        options["toolConfig"] = {"tools": [TOOL]}
        self.assertTrue(converse(messages=turns, **options)["output"]["message"]["content"])

    def test_invoke_in_anthropics_form(self):
        message, headers = invoke(**ANTHROPIC)
        self.assertIn("Paris", message["content"][0]["text"])
        self.assertGreater(int(headers["x-amzn-bedrock-input-token-count"]), 10)
        output = int(headers["x-amzn-bedrock-output-token-count"])
        self.assertEqual(output, message["usage"]["output_tokens"])
        chunks = invoke_stream(**ANTHROPIC)
        self.assertEqual((chunks[0]["type"], chunks[-1]["type"]),
                         ("message_start", "message_stop"))
        deltas = [chunk["delta"] for chunk in chunks if chunk["type"] == "content_block_delta"]
        text = "".join(delta["text"] for delta in deltas)
        self.assertEqual(text, message["content"][0]["text"])
        metrics = chunks[-1]["amazon-bedrock-invocationMetrics"]
        self.assertEqual(metrics["outputTokenCount"], output)

    def test_invoke_in_openais_form(self):
        answer, _ = invoke(**OPENAI)
        said = answer["choices"][0]["message"]["content"]
        self.assertIn("Paris", said)
        chunks = invoke_stream(**OPENAI)
        deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
        self.assertEqual("".join(deltas), said)
        metrics = chunks[-1]["amazon-bedrock-invocationMetrics"]
        self.assertEqual(metrics["outputTokenCount"], answer["usage"]["completion_tokens"])

    def test_invoke_with_prompts(self):
        meta, _ = invoke(prompt="One, two, three,", max_gen_len=8, temperature=0)
        mistral, _ = invoke(prompt="One, two, three,", max_tokens=8, temperature=0)
        self.assertEqual((meta["generation"], meta["stop_reason"]),
                         (mistral["outputs"][0]["text"], "length"))
        chunks = invoke_stream(prompt="One, two, three,", max_gen_len=8, temperature=0)
        self.assertEqual("".join(chunk["generation"] for chunk in chunks), meta["generation"])
        self.assertEqual(chunks[-1]["generation_token_count"], meta["generation_token_count"])

    def test_models_have_awss_names(self):
        account = "arn:aws:bedrock:eu-west-1:123456789012:"
        expected = converse()["output"]
        for name in (
            f"eu.{MODEL}",
            f"arn:aws:bedrock:eu-west-1::foundation-model/{MODEL}",
            f"{account}inference-profile/global.{MODEL}",
            f"{account}provisioned-model/{MODEL}",
            f"{account}imported-model/{MODEL}",
        ):
            with self.subTest(name):
                self.assertEqual(converse(modelId=name)["output"], expected)
                body = json.dumps(OPENAI)
                answer = client().invoke_model(modelId=name, body=body)["body"].read()
                said = json.loads(answer)["choices"][0]["message"]["content"]
                self.assertEqual(said, expected["message"]["content"][0]["text"])

    def test_models_are_listed(self):
        plane = control_plane()
        models = plane.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
        (model,) = [model for model in models if model["modelId"] == MODEL]
        self.assertEqual(model["modelLifecycle"], {"status": "ACTIVE"})
        self.assertTrue(model["responseStreamingSupported"])
        for name in (MODEL, model["modelArn"]):
            shown = plane.get_foundation_model(modelIdentifier=name)["modelDetails"]
            self.assertEqual(shown, model)
        images = plane.list_foundation_models(byOutputModality="IMAGE", byInferenceType="ON_DEMAND")
        self.assertEqual(images["modelSummaries"], [])
        with self.assertRaises(plane.exceptions.ResourceNotFoundException):
            plane.get_foundation_model(modelIdentifier="meta.llama3-8b-v1:0")
        for ask in (plane.list_guardrails, plane.list_inference_profiles):
            with self.assertRaises(ClientError) as caught:
                ask()
            error = caught.exception.response
            self.assertEqual(error["Error"]["Code"], "UnknownOperationException")
            self.assertIn("ListFoundationModels", error["Error"]["Message"])
            self.assertEqual(error["ResponseMetadata"]["HTTPStatusCode"], 404)

    def test_tokens_are_counted(self):
        system = [{"text": "You answer in English."}]
        tools = {"tools": [TOOL]}
        usage = converse(system=system, toolConfig=tools)["usage"]
        asked = {"messages": QUESTION, "system": system, "toolConfig": tools}
        counted = client().count_tokens(modelId=MODEL, input={"converse": asked})
        read = usage["inputTokens"] + usage["cacheReadInputTokens"]
        self.assertEqual(counted["inputTokens"], read)
        for body in (ANTHROPIC, OPENAI, {"prompt": "One, two, three,", "max_gen_len": 8}):
            _, headers = invoke(**body)
            told = {"invokeModel": {"body": json.dumps(body)}}
            counted = client().count_tokens(modelId=f"eu.{MODEL}", input=told)["inputTokens"]
            self.assertEqual(counted, int(headers["x-amzn-bedrock-input-token-count"]))

    def test_calls_and_results_go_together(self):
        use = {"toolUse": {"toolUseId": "x", "name": "get_weather", "input": {}}}
        result = {"toolResult": {"toolUseId": "x", "content": [{"text": "21"}]}}
        called = {"role": "assistant", "content": [use]}
        answered = {"role": "user", "content": [result]}
        for turns, said in (
            ([*QUESTION, called, *QUESTION], "Expected toolResult blocks"),
            ([*QUESTION, called], "Expected toolResult blocks"),
            ([*QUESTION, answered], "more toolResult blocks than toolUse blocks"),
        ):
            with self.assertRaises(client().exceptions.ValidationException) as caught:
                converse(messages=turns, toolConfig={"tools": [TOOL]})
            self.assertIn(said, caught.exception.response["Error"]["Message"])

    def test_errors(self):
        exceptions = client().exceptions
        with self.assertRaises(exceptions.ResourceNotFoundException):
            converse(modelId="us.anthropic.claude-sonnet-4-20250514-v1:0")
        with self.assertRaises(exceptions.ResourceNotFoundException):
            converse(modelId="arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3-8b-v1:0")
        image = {"image": {"format": "png", "source": {"bytes": b"no image"}}}
        with self.assertRaises(exceptions.ValidationException) as caught:
            converse(messages=[{"role": "user", "content": [image]}])
        self.assertIn("image", caught.exception.response["Error"]["Message"])
        with self.assertRaises(exceptions.ValidationException):
            invoke(inputText="a form of another maker")

    def test_a_wrong_pair_is_refused(self):
        for pair, code in (
            ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
            ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "UnrecognizedClientException"),
            ({"aws_session_token": "token"}, "UnrecognizedClientException"),
        ):
            keys = {
                "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            }
            with self.subTest(code=code, **pair), self.assertRaises(ClientError) as caught:
                client(**(keys | pair)).converse(modelId=MODEL, messages=QUESTION)
            self.assertEqual(caught.exception.response["Error"]["Code"], code)
            self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 403)


if __name__ == "__main__":
    unittest.main()
