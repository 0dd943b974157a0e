"""A request by plain HTTP, and what came back."""

import json
import os
import urllib.error
import urllib.request

from . import streams

KEY = os.environ["OPENAI_API_KEY"]
MODEL = os.environ["AGENTBASE_TEST_MODEL"]
EMBEDDER = os.environ["AGENTBASE_TEST_EMBEDDER"]
ROOT = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
QUESTION = "What is the capital of France? Answer in one sentence."
TIMEOUT_S = 300


class Answer:
    """What came back, whole or streamed, in any of the APIs' shapes."""

    def __init__(self, route, body, status, headers, data):
        self.route, self.body, self.status, self.headers = route, body, status, headers
        self.json, self.events = {}, []
        kind = headers.get("Content-Type", "")
        if kind == "application/vnd.amazon.eventstream":
            self.events = streams.framed(data)
            self.raw = str(self.events)
        else:
            self.raw = data.decode()
        if kind.startswith("text/event-stream"):
            self.events = streams.server_sent(self.raw)
        if kind.startswith("application/json"):
            self.json = json.loads(self.raw)
        elif self.events:
            self.json = streams.whole(self.events)

    def again(self):
        return send(self.route, self.body)

    @property
    def choices(self):
        return self.json.get("choices", [])

    @property
    def choice(self):
        return self.choices[0]

    @property
    def calls(self):
        return self.choice["message"].get("tool_calls", [])

    @property
    def blocks(self):
        """Of Anthropic's messages and Bedrock's."""
        if "output" in self.json:
            return self.json["output"]["message"]["content"]
        return self.json["content"]

    @property
    def items(self):
        """Of a response: what it says, calls and thinks."""
        return self.json["output"]

    @property
    def text(self):
        """What is said, also in a stream; the tokens where nothing is."""
        if self.events:
            return "".join(map(streams.said, self.events))
        if "tokens" in self.json:
            return str(self.json["tokens"])
        if isinstance(self.json.get("output"), list):
            parts = [part for item in self.items for part in item.get("content", [])]
            return "".join(part["text"] for part in parts)
        if "content" in self.json or "output" in self.json:
            return "".join(block.get("text", "") for block in self.blocks)
        if "message" in self.json.get("choices", [{}])[0]:
            return self.choice["message"]["content"]
        return streams.said(self.json)

    @property
    def reason(self):
        for name in ("stop_reason", "stopReason"):
            if name in self.json:
                return self.json[name]
        return self.choice["finish_reason"]

    @property
    def usage(self):
        return next((e["usage"] for e in self.events if e.get("usage")), self.json.get("usage"))

    @property
    def num_prompt(self):
        """Tokens of the prompt, by any name."""
        usage = self.usage or self.json
        if "inputTokens" in usage:
            return usage["inputTokens"] + usage.get("cacheReadInputTokens", 0)
        if "count" in usage:
            return usage["count"]
        if "prompt_tokens" in usage:
            return usage["prompt_tokens"]
        return usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)

    @property
    def num_new(self):
        names = ("completion_tokens", "output_tokens", "outputTokens")
        return next((self.usage[name] for name in names if name in self.usage), None)

    @property
    def names_parameter(self):
        """Whether errors of the API have a field for it, as OpenAI's do."""
        return not (self.is_awss or self.is_teis or " /v1/messages" in self.route)

    @property
    def is_teis(self):
        """Whether the answer has text-embeddings-inference's shape."""
        own = any(f" {path}" in self.route for path in ("/embed", "/similarity", "/predict", "/info"))
        return own or (self.route == "POST /rerank" and "texts" in self.body)

    @property
    def is_awss(self):
        return any(path in self.route for path in (" /model/", " /foundation-models"))

    @property
    def complaint(self):
        """What an error says; it fails where the error is not of the API's shape."""
        if self.is_awss:
            assert self.headers["x-amzn-errortype"].endswith("Exception"), self.headers
            return self.json["message"]
        if self.is_teis:
            assert self.json["error_type"] in ("Validation", "Overloaded"), self.raw
            return self.json["error"]
        error = self.json["error"]
        assert error["message"], self.raw
        return error["message"]


def opened(route, body=None):
    """Sends `body` to a route such as `POST /tokenize`; what comes is still to be read."""
    method, path = route.split(" ", 1)
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(ROOT + path, data, headers, method=method)
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        return error


def send(route, body=None):
    """What a route answers; an error is an answer, too."""
    with opened(route, body) as response:
        return Answer(route, body, response.status, response.headers, response.read())


def tokens(text):
    """The ids of a text's tokens."""
    body = {"model": MODEL, "prompt": text, "add_special_tokens": False}
    return send("POST /tokenize", body).json["tokens"]


def text_of(names):
    """The text of tokens that are called by their ids."""
    ids = [int(name.removeprefix("token_id:")) for name in names]
    return send("POST /detokenize", {"model": MODEL, "tokens": ids}).json["prompt"]


def metric(name):
    """A counter of `/metrics`, summed over its labels."""
    lines = send("GET /metrics").raw.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))
