"""OpenAI's `POST /v1/responses`, and `/v1/responses/input_tokens`, which takes the same and looks
at the prompt only."""

import time

from .call import send
from .generation import SIZE, differs, fits, same
from .response_inputs import BASE, CROWDED, FUNCTION, prompt_rows
from .rows import Route, ignored, in_time, refused, required, supported, unknown

LOGPROBS = "message.output_text.logprobs"
MUST_CALL = {"tools": [FUNCTION], "tool_choice": "required", "max_output_tokens": 100}


def calls(answer):
    return [item for item in answer.items if item["type"] == "function_call"]


def is_kept(answer):
    return send(f"GET /v1/responses/{answer.json['id']}").status == 200


def finished(name):
    """A response in the background when it is complete."""
    while True:
        answer = send(f"GET /v1/responses/{name}")
        if answer.json["status"] not in ("queued", "in_progress"):
            return answer
        time.sleep(0.05)


def repeated(name, value, note=""):
    """Without effect; the response has it again."""
    note = ", ".join(filter(None, ["repeated in the response", note]))
    return ignored(name, {name: value}, note=note, also=lambda a: a.json[name] == value)


def form(**more):
    named = {"type": "json_schema", "name": "size", "schema": SIZE} | more
    return {"max_output_tokens": 40, "text": {"format": named}}


def form_rows():
    name = "text.format"
    json_object = {"text": {"format": {"type": "json_object"}}}
    return [
        supported(f"{name}.type", form(), fits, note="`text`, `json_object`, `json_schema`"),
        supported(
            f"{name}.type",
            json_object,
            lambda a, p: a.text.startswith("{") and not p.text.startswith("{"),
            {"text": {"format": {"type": "text"}}},
            "`json_object`, `text`",
        ),
        refused(f"{name}.type", {"text": {"format": {"type": "xml"}}}, "others"),
        supported(f"{name}.schema", form(), fits),
        refused(f"{name}.schema", form(schema=None), "where it is missing"),
        ignored(f"{name}.name", form(), form(name=None)),
        refused(f"{name}.name", form(name="a b"), "odd characters"),
        ignored(f"{name}.description", form(description="x"), form()),
        ignored(
            f"{name}.strict",
            form(strict=True),
            form(strict=False),
            "of a schema that can be honoured",
        ),
        refused(
            f"{name}.strict",
            form(strict=True, schema=SIZE | {"uniqueItems": True}),
            "with a keyword that cannot be honoured, which is else passed over",
            says="uniqueItems",
            param=name,
        ),
    ]


def length_rows():
    return [
        supported(
            "max_output_tokens",
            {"max_output_tokens": 3},
            lambda a, p: (
                a.num_new == 3 < p.num_new
                and a.json["incomplete_details"] == {"reason": "max_output_tokens"}
            ),
        ),
        refused("max_output_tokens", {"max_output_tokens": 0}, "0"),
        refused(
            "max_output_tokens",
            {"max_output_tokens": 1 << 20},
            "what the context cannot hold",
            says="maximum context length",
            param="input",
        ),
        refused(
            "truncation",
            CROWDED,
            "`disabled`: what the context cannot hold",
            says="maximum context length",
            param="input",
        ),
    ]


def sampling_rows():
    return [
        supported("temperature", {"temperature": 2}, lambda a, p: differs(a, a.again())),
        refused("temperature", {"temperature": 3}, "outside 0 to 2"),
        supported("top_p", {"temperature": 2, "top_p": 1e-6}, same),
        refused("top_p", {"top_p": 2}, "outside 0 to 1"),
        supported("top_logprobs", {"top_logprobs": 3}, lambda a, p: len(likeliest(a)) == 3),
        refused("top_logprobs", {"top_logprobs": 21}, "above 20"),
        supported(
            "include",
            {"include": [LOGPROBS]},
            lambda a, p: likeliest(a) == [] and not logprobs(p),
            note=f"`{LOGPROBS}`",
        ),
        ignored(
            "include",
            {"include": ["reasoning.encrypted_content"]},
            note="what else OpenAI has: there is none of it here",
        ),
        refused("include", {"include": ["everything"]}, "others"),
    ]


def logprobs(answer):
    return answer.items[0]["content"][0]["logprobs"]


def likeliest(answer):
    """The alternatives to the first token, whose own probability is told, too."""
    first = logprobs(answer)[0]
    assert first["logprob"] <= 0
    return first["top_logprobs"]


def must_call_rows():
    return [
        supported(
            "tool_choice",
            MUST_CALL,
            lambda a, p: calls(a) and not calls(p),
            MUST_CALL | {"tool_choice": "none"},
            "`required`",
        ),
        supported(
            "tool_choice",
            MUST_CALL | {"tool_choice": {"type": "function", "name": "roll"}},
            lambda a, p: [call["name"] for call in calls(a)] == ["roll"] and not calls(p),
            {"tools": [FUNCTION]},
            "a function, `auto`",
        ),
        supported(
            "parallel_tool_calls",
            MUST_CALL | {"parallel_tool_calls": False},
            lambda a, p: len(calls(a)) == 1 < len(calls(p)),
            MUST_CALL,
        ),
    ]


def keeping_rows():
    noted = {"metadata": {"a": "b"}}
    alone = {"background": True, "store": False}
    return [
        supported("store", {"store": False}, lambda a, p: is_kept(p) and not is_kept(a)),
        supported(
            "background",
            {"background": True},
            lambda a, p: a.json["status"] == "queued" and same(finished(a.json["id"]), p),
        ),
        refused("background", alone, "without `store`"),
        supported(
            "metadata",
            noted,
            lambda a, p: (a.json["metadata"], p.json["metadata"]) == ({"a": "b"}, {}),
        ),
        refused("metadata", {"metadata": {"a": "b" * 513}}, "values above 512 characters"),
    ]


def create_rows():
    priority = {"service_tier": "priority"}
    return [
        required("model"),
        supported(
            "stream",
            {"stream": True},
            lambda a, p: a.events[-1]["type"] == "response.completed" and same(a, p),
        ),
        ignored(
            "stream_options",
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"stream": True},
            "there is no obfuscation",
        ),
        supported(
            "service_tier",
            priority,
            lambda a, p: (tier(a), tier(p)) == ("priority", "default") and same(a, p),
            note="the response names it",
        ),
        refused("service_tier", {"service_tier": "best"}, "others"),
        *length_rows(),
        *sampling_rows(),
        *form_rows(),
        *must_call_rows(),
        *keeping_rows(),
        ignored("text.verbosity", {"text": {"verbosity": "low"}}, note="this template knows none"),
        refused("text.verbosity", {"text": {"verbosity": "extreme"}}, "others"),
        ignored(
            "reasoning.effort", {"reasoning": {"effort": "low"}}, note="this template knows none"
        ),
        refused("reasoning.effort", {"reasoning": {"effort": "extreme"}}, "others"),
        ignored(
            "reasoning.summary", {"reasoning": {"summary": "auto"}}, note="thoughts are given whole"
        ),
        repeated("max_tool_calls", 3, "no tools run here"),
        repeated("prompt_cache_key", "somebody"),
        repeated("safety_identifier", "somebody"),
        repeated("user", "somebody"),
        in_time(),
        refused("timeout", {"timeout": 0}, "no time at all"),
        *(unknown(name, value) for name, value in OPENAIS.items()),
    ]


def tier(answer):
    return answer.json["service_tier"]


# What OpenAI's own client can send beside these.
OPENAIS = {
    "access_programs": {"cyber": "standard"},
    "background_options": {"completion_window": "2h"},
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "image": {"context_compression": "auto"},
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "reasoning.context": "auto",
    "reasoning.generate_summary": "auto",
    "reasoning.mode": "standard",
}


def count_rows():
    """What has to do with the answer is read and left alone."""
    no_count = "of no effect on a count"
    tools = {"tools": [FUNCTION]}
    alone = {
        "background": True,
        "include": [LOGPROBS],
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "prompt_cache_key": "x",
        "safety_identifier": "x",
        "service_tier": "flex",
        "store": False,
        "stream": True,
        "stream_options": {},
        "temperature": 0.5,
        "timeout": 60,
        "top_logprobs": 3,
        "top_p": 0.5,
        "user": "x",
    }
    within = {
        "max_output_tokens": {"max_output_tokens": 3},
        "parallel_tool_calls": tools | {"parallel_tool_calls": False},
        "reasoning.effort": {"reasoning": {"effort": "low"}},
        "reasoning.summary": {"reasoning": {"summary": "auto"}},
        "text.verbosity": {"text": {"verbosity": "low"}},
    }
    named = form(name="n", description="d", strict=True)
    within |= {
        f"text.format.{name}": named for name in ("type", "name", "schema", "description", "strict")
    }
    return [
        ignored("model", {"model": None}, note="where one model is served"),
        *(ignored(name, {name: value}, note=no_count) for name, value in alone.items()),
        *(
            ignored(name, more, tools if "tools" in more else None, no_count)
            for name, more in within.items()
        ),
        unknown("personality", "friendly"),
    ]


ROUTES = [
    Route("POST /v1/responses", BASE, [*create_rows(), *prompt_rows()]),
    Route("POST /v1/responses/input_tokens", BASE, [*count_rows(), *prompt_rows()]),
]
