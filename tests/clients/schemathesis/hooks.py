"""What is changed of the requests that schemathesis makes up, so that some are answered.

Nothing is left out of all of them: of some requests all stays that was made up, of some a part, and
of some only what must be there. Half of them have values that are taken, where those made up are
mostly refused. Answers are kept short, and what stands for a model is one."""

import json
import os
import random

import schemathesis

from values import CLASSIFYING, EMBEDDING, SHORT, mended

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
EMBEDDER = os.environ["AGENTBASE_TEST_EMBEDDER"]
CLASSIFIER = os.environ.get("AGENTBASE_TEST_CLASSIFIER", EMBEDDER)
STATUSES = os.environ["AGENTBASE_TEST_STATUSES"]
ENCODING = {*EMBEDDING, *CLASSIFYING}
MAX_TOKENS = 4
# How many of the options that were made up stay, in equal parts of the requests: with all of them
# something is mostly refused.
SHARES = (0, 0.1, 0.3, 1)
# How many requests ask for a model that there is and can do it, how many chats are of one plain
# message (those made up mostly hold what no model here can read), and how many options are taken.
KNOWN, PLAIN, MENDED = 0.8, 0.7, 0.5
NEEDED = {"model", "messages", "prompt", "tokens", "input", "stream", "id", *SHORT}
# What limits an answer, and which of it each API must have: without it an answer may take minutes.
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_gen_len")
ASKED = {"role": "user", "content": "Hi"}
SAID = {"role": "user", "content": [{"text": "Hi"}]}
SIMILAR = {"source_sentence": "Hi", "sentences": ["Hi", "Ho"]}
INVOKED = (
    {"messages": [ASKED], "max_tokens": MAX_TOKENS, "anthropic_version": "bedrock-2023-05-31"},
    {"messages": [ASKED], "max_tokens": MAX_TOKENS},
    {"prompt": "Hi", "max_gen_len": MAX_TOKENS},
    {"prompt": "Hi", "max_tokens": MAX_TOKENS},
)


def chance_of(data):
    """The same for the same data, so that what is found is found again."""
    return random.Random(json.dumps(data, sort_keys=True, default=str))


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Before each call, whatever made it up: other hooks do not see all that is sent. What is to be
    refused stays as it is, but for its length."""
    path, parameters = case.operation.path, case.path_parameters
    if case.meta.generation.mode.value == "positive":
        if "model" in path and "id" in parameters and chance_of(parameters).random() < KNOWN:
            case.path_parameters = parameters | {"id": MODEL}
        if "/invoke" in path or isinstance(case.body, dict):
            case.body = taken(path, case.body)
    if isinstance(case.body, dict):
        case.body = conversed(case.body) if "/converse" in path else limited(case.body)


def taken(path, body):
    """A body as made up, or with less of it, or with other values."""
    chance = chance_of(body)
    is_plain, is_mended = chance.random() < PLAIN, chance.random() < MENDED
    # What encoders are asked has few options, of which most are taken.
    share = chance.choice(SHARES[2:] if path in ENCODING else SHARES)
    if "/invoke" in path:
        # Our document leaves it open.
        body = body if isinstance(body, dict) else {}
        return body | chance.choice(INVOKED) if is_plain else body
    kept = (name for name in body if name in NEEDED or chance.random() < share)
    body = {name: body[name] for name in kept}
    if is_mended:
        body = mended(path, body, chance)
    if chance.random() < KNOWN and "model" in body:
        body["model"] = model_for(path)
    return body | asked(path, body) if is_plain else body


def model_for(path):
    if path in EMBEDDING:
        return EMBEDDER
    return CLASSIFIER if path in CLASSIFYING else MODEL


def asked(path, body):
    """What is asked in few words, where a body asks."""
    if "/responses" in path:
        return {"input": "Hi"}
    words = {"messages": [ASKED], "prompt": "Hi"}
    if path in ENCODING:
        words = SHORT | ({"inputs": SIMILAR} if path == "/similarity" else {})
    if "/model/" in path:
        words = {"messages": [SAID], "input": {"converse": {"messages": [SAID]}}}
    return {name: value for name, value in words.items() if name in body}


def limited(body):
    """An answer that is short; a response has a name of its own for that."""
    always = "max_output_tokens" if "input" in body else "max_tokens"
    values = {name: body.get(name) for name in LIMITS}
    short = {
        name: MAX_TOKENS
        for name, value in values.items()
        if is_long(value) or (name == always and value is None)
    }
    return body | short


def conversed(body):
    config = body.get("inferenceConfig")
    config = {} if config is None else config
    if isinstance(config, dict):
        value = config.get("maxTokens")
        if value is None or is_long(value):
            config = config | {"maxTokens": MAX_TOKENS}
    return body | {"inferenceConfig": config}


def is_long(value):
    return isinstance(value, int) and value > MAX_TOKENS


@schemathesis.hook
def after_call(_context, case, response):
    """Notes what was answered to which options."""
    body = case.body if isinstance(case.body, dict) else {}
    with open(STATUSES, "a") as file:
        print(json.dumps([response.status_code, sorted(map(str, body))]), file=file)
