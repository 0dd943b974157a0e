"""Bedrock's `invoke`, and the same in pieces. Our document leaves the body open: it is in the form
of a model's maker. What else Anthropic's and OpenAI's forms hold stands with their own routes."""

from . import chat
from .call import MODEL, QUESTION
from .completions import PROMPT
from .generation import differs, same
from .rows import Route, ignored, refused, required, supported, undocumented

META, MISTRAL = "Meta's form", "Mistral's form"
OPENAI, ANTHROPIC = "OpenAI's form, as of a chat completion", "Anthropic's form, as of a message"
GREEDY = {"id": MODEL, "temperature": 0}
ITALY = "What is the capital of Italy?"


def has(field):
    """The answer has a field that others have not."""
    return lambda answer, _: any(field in piece for piece in answer.events or [answer.json])


def told(name, with_it, holds, form, without=None):
    return undocumented(supported(name, with_it, holds, without, form))


def length_rows(name, form):
    return [
        told(name, {name: 3}, lambda a, p: p.text.startswith(a.text) and differs(a, p), form),
        refused(name, {name: -1}, "below 0"),
    ]


def sampling_rows(form):
    hot = {"temperature": 2}
    return [
        told("temperature", hot, lambda a, p: differs(a, a.again()), form),
        refused("temperature", {"temperature": 3}, f"outside 0 to 2: {form}"),
        told("top_p", hot | {"top_p": 1e-6}, same, form),
        refused("top_p", {"top_p": 2}, f"outside 0 to 1: {form}"),
    ]


def prompt_rows(form, field):
    another = {"prompt": PROMPT.replace(QUESTION, ITALY)}
    return [
        told("prompt", another, lambda a, p: has(field)(a, p) and differs(a, p), form),
        refused("prompt", {"prompt": [PROMPT]}, f"several: {form}"),
    ]


def meta():
    name = "max_gen_len"
    rows = [*prompt_rows(META, "generation"), *length_rows(name, META), *sampling_rows(META)]
    return GREEDY | {"prompt": PROMPT, name: 12}, rows


def mistral():
    stop = {"stop": [" France"]}
    rows = [
        *prompt_rows(MISTRAL, "outputs"),
        *length_rows("max_tokens", MISTRAL),
        *sampling_rows(MISTRAL),
        told("top_k", {"temperature": 2, "top_k": 1}, same, MISTRAL),
        refused("top_k", {"top_k": -2}, f"below -1: {MISTRAL}"),
        told("stop", stop, lambda a, p: a.text == p.text.split(" France")[0] != p.text, MISTRAL),
        refused("stop", {"stop": ["x"] * 2501}, f"more than 2,500: {MISTRAL}"),
    ]
    return GREEDY | {"prompt": PROMPT, "max_tokens": 12}, rows


def path_rows():
    """What the path says, whatever the body says of it."""
    others = {"model": "another", "stream": True}
    return [
        supported("id", {}, lambda a, p: "Paris" in a.text, note="the model's"),
        refused("id", {"id": "no-such-model"}, "404 for one that is not there", 404, "model"),
        *(
            undocumented(ignored(name, {name: value}, note="the path says it"))
            for name, value in others.items()
        ),
    ]


def openai():
    asked = {"messages": [chat.ASK | {"content": ITALY}]}
    rows = [
        *path_rows(),
        told("messages", asked, lambda a, p: has("choices")(a, p) and differs(a, p), OPENAI),
        refused("messages", {"messages": None}, "where `prompt` is missing, too"),
        *length_rows("max_tokens", OPENAI),
    ]
    return GREEDY | {"messages": [chat.ASK], "max_tokens": 12}, rows


def anthropic():
    version = {"anthropic_version": "bedrock-2023-05-31"}
    base, _ = openai()
    stop = {"stop_sequences": [" France"]}
    rows = [
        told("anthropic_version", {}, has("type"), f"any: {ANTHROPIC}"),
        undocumented(required("max_tokens", f"required: {ANTHROPIC}")),
        told(
            "stop_sequences",
            stop,
            lambda a, p: a.text == p.text.split(" France")[0] != p.text,
            ANTHROPIC,
        ),
    ]
    return base | version, rows


ROUTES = [
    Route(f"POST /model/{{id}}/{name}", *form())
    for name in ("invoke", "invoke-with-response-stream")
    for form in (meta, mistral, openai, anthropic)
]
