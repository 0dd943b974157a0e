"""What is changed of the requests that schemathesis makes up, so that some are answered."""

import json
import os
import random

import schemathesis

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
STATUSES = os.environ["AGENTBASE_TEST_STATUSES"]
MAX_TOKENS = 4
# How many requests have options, and how many of them are left in: with all of them something is
# always refused.
OPTIONED, KEPT = 0.7, 0.2
# How many chats are of one plain message: those made up mostly answer tools that nobody called.
PLAIN = 0.5
NEEDED = {"model", "messages", "prompt", "tokens", "input", "stream", "id"}


@schemathesis.hook
def map_body(_context, body):
    if not isinstance(body, dict):
        return body
    chance = random.Random(json.dumps(body, sort_keys=True, default=str))
    kept = KEPT if chance.random() < OPTIONED else 0
    body = {name: value for name, value in body.items() if name in NEEDED or chance.random() < kept}
    if isinstance(body.get("model", ""), str):
        body["model"] = MODEL
    if "messages" in body and chance.random() < PLAIN:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    if "input" in body and chance.random() < PLAIN:
        body["input"] = "Hi"
    # A response has its own name for it.
    always = "max_output_tokens" if "input" in body else "max_tokens"
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        value = body.get(name)
        too_many = isinstance(value, int) and value > MAX_TOKENS
        if too_many or (name == always and value is None):
            body[name] = MAX_TOKENS
    return body


@schemathesis.hook
def after_call(_context, _case, response):
    with open(STATUSES, "a") as file:
        print(response.status_code, file=file)
