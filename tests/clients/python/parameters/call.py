"""A request by plain HTTP, and what came back."""

import json
import os
import urllib.error
import urllib.request

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
ROOT = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
QUESTION = "What is the capital of France? Answer in one sentence."
TIMEOUT_S = 300


class Answer:
    """What came back, whole or streamed, in any of the API's shapes."""

    def __init__(self, route, body, status, kind, text):
        self.route, self.body, self.status, self.raw = route, body, status, text
        self.json, self.events = {}, []
        if kind.startswith("text/event-stream"):
            lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
            self.events = [json.loads(line) for line in lines if line != "[DONE]"]
        elif kind.startswith("application/json"):
            self.json = json.loads(text)

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
        """Of Anthropic's messages."""
        return self.json["content"]

    @property
    def text(self):
        """What is said, also in a stream; the tokens where nothing is."""
        if self.events:
            return "".join(map(_said, self.events))
        if "tokens" in self.json:
            return str(self.json["tokens"])
        if "content" in self.json:
            return "".join(block.get("text", "") for block in self.blocks)
        return self.choice["text"] if "text" in self.choice else self.choice["message"]["content"]

    @property
    def reason(self):
        return self.json["stop_reason"] if "content" in self.json else self.choice["finish_reason"]

    @property
    def usage(self):
        return next((e["usage"] for e in self.events if e.get("usage")), self.json.get("usage"))

    @property
    def num_prompt(self):
        """Tokens of the prompt, by either name."""
        usage = self.usage or self.json
        if "count" in usage:
            return usage["count"]
        if "prompt_tokens" in usage:
            return usage["prompt_tokens"]
        return usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)

    @property
    def num_new(self):
        return self.usage.get("completion_tokens", self.usage.get("output_tokens"))


def _said(event):
    """The text in one event of a stream."""
    for choice in event.get("choices", []):
        return choice.get("text") or choice.get("delta", {}).get("content") or ""
    return event.get("delta", {}).get("text", "")


def send(route, body=None, key=os.environ["OPENAI_API_KEY"]):
    """Sends `body` to a route such as `POST /tokenize`; an error is an answer, too."""
    method, path = route.split(" ", 1)
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(ROOT + path, data, headers, method=method)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        kind = response.headers.get("Content-Type", "")
        return Answer(route, body, response.status, kind, response.read().decode())


def tokens(text):
    """The ids of a text's tokens."""
    body = {"model": MODEL, "prompt": text, "add_special_tokens": False}
    return send("POST /tokenize", body).json["tokens"]


def metric(name):
    """A counter of `/metrics`, summed over its labels."""
    lines = send("GET /metrics").raw.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))
