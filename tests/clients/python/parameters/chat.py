"""`POST /v1/chat/completions`."""

from . import generation
from .call import MODEL, QUESTION, text_of
from .generation import differs, same
from .rows import Route, proved_in, refused, required, supported

ASK = {"role": "user", "content": QUESTION}
BEGUN = [ASK, {"role": "assistant", "content": "The capital of"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "roll",
        "parameters": {
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
            "required": ["n"],
            "additionalProperties": False,
        },
    },
}
TEMPLATES = "server/http/tests/api/templates.rs"
# What this model cannot: it does not see.
IMAGES = "server/http/tests/api/images.rs"
SEEN = "what_is_seen_is_what_is_answered_to"
IN_OTHER_WORDS = "other_apis_send_images_in_their_words"
# What the template of this model makes nothing of.
TEMPLATE = [
    proved_in("chat_template_kwargs", TEMPLATES, "chats_reach_the_template"),
    proved_in("messages[].name", TEMPLATES, "chats_reach_the_template"),
    proved_in("messages[].reasoning_content", TEMPLATES, "chats_reach_the_template"),
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "roll", "arguments": '{"n": 1}'}}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
MUST_CALL = {"tools": [TOOL], "tool_choice": "required", "max_tokens": 100}


def user(content, **more):
    return {"messages": [{"role": "user", "content": content} | more]}


def longer(answer, plain):
    """The prompt has more tokens."""
    return answer.num_prompt > plain.num_prompt


def turns(*more):
    return {"messages": [ASK, *more]}


def messages():
    """What stands in a conversation, in any route that takes OpenAI's messages."""
    said = {"role": "assistant", "content": "", "tool_calls": None}
    parts = [{"type": "text", "text": QUESTION}]
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    system = {"messages": [{"role": "system", "content": "Be brief."}, ASK]}
    developer = {"messages": [{"role": "developer", "content": "Be brief."}, ASK]}
    tool_call = turns(CALLED, RESULT)
    return [
        supported(
            "messages[].role",
            developer,
            lambda a, p: a.num_prompt == p.num_prompt and same(a, p),
            system,
            "`developer` is `system`; `user`, `assistant`, `tool`",
        ),
        refused("messages[].role", user("Hi", role="robot"), "others"),
        supported("messages[].content", user("What is the capital of Italy?"), differs),
        supported("messages[].content[].text", user(parts), same, note="as the text alone"),
        refused("messages[].content[].text", user([{"type": "text"}]), "where it is missing"),
        supported("messages[].content[].type", user(parts), same, note="`text`"),
        proved_in("messages[].content[].type", IMAGES, SEEN, "`image_url`, by models that see"),
        refused("messages[].content[].type", user([{"type": "file"}]), "others: sound, files"),
        proved_in("messages[].content[].image_url.url", IMAGES, SEEN, "`data:`, base64"),
        refused("messages[].content[].image_url.url", user(image), "by models that do not see"),
        proved_in("messages[].content[].image_url.detail", IMAGES, SEEN, "of no effect"),
        proved_in(
            "messages[].content[].refusal",
            "server/http/tests/api/accepted.rs",
            "a_refusal_is_what_an_assistant_said_and_developers_are_the_system",
        ),
        supported("messages[].tool_calls", tool_call, longer, turns(said)),
        supported("messages[].tool_call_id", tool_call, longer, turns(said)),
    ]


def tools():
    named = {"type": "function", "function": {"name": "roll"}}
    offered = {"tools": [TOOL], "max_tokens": 100}
    both = {"tools": [TOOL, {"type": "function", "function": {"name": "another"}}]}
    some = {"mode": "auto", "tools": [named]}
    allowed = {"tool_choice": {"type": "allowed_tools", "allowed_tools": some}}
    return [
        supported("tools", {"tools": [TOOL]}, longer),
        refused(
            "tools",
            {"tools": [{"type": "web_search"}]},
            "other than functions",
            param="tools[].type",
        ),
        supported(
            "tool_choice",
            MUST_CALL,
            lambda a, p: a.calls[0]["function"]["name"] == "roll" and a.reason == "tool_calls",
            {"tools": [TOOL], "tool_choice": "none"},
            "`required`",
        ),
        supported(
            "tool_choice",
            offered | {"tool_choice": named},
            lambda a, p: len(a.calls) == 1 and not p.calls,
            {"tools": [TOOL], "tool_choice": "none"},
            "a function, `none`",
        ),
        supported(
            "tool_choice", both | allowed, lambda a, p: longer(p, a), both, "`allowed_tools`"
        ),
        refused("tool_choice", {"tool_choice": "required"}, "without `tools`"),
        supported(
            "parallel_tool_calls",
            MUST_CALL | {"parallel_tool_calls": False},
            lambda a, p: len(a.calls) == 1 < len(p.calls),
            MUST_CALL | {"parallel_tool_calls": True},
        ),
    ]


def tiers():
    """The answer is the same but for the tier that it names."""

    def named(with_it, without):
        def holds(answer, plain):
            told = tuple(of.json.get("service_tier") for of in (answer, plain))
            return told == (with_it, without) and same(answer, plain)

        return holds

    flex = {"service_tier": "flex"}
    return [
        supported("service_tier", flex, named("flex", None), note="the answer names it"),
        refused("service_tier", {"service_tier": "best"}, "others"),
        supported(
            "priority",
            flex | {"priority": -1},
            named("priority", "flex"),
            flex,
            "wins over `service_tier`, and is named as that",
        ),
        refused("priority", {"priority": "high"}, "what is no number"),
    ]


def own():
    return [
        required("messages"),
        *messages(),
        refused("messages[].tool_call_id", turns(RESULT), "of no call before it"),
        refused("messages[].tool_calls", turns(CALLED), "without a result right after"),
        *tools(),
        supported(
            "logprobs",
            {"logprobs": True},
            lambda a, p: (
                a.choice["logprobs"]["content"][0]["logprob"] <= 0 and p.choice["logprobs"] is None
            ),
        ),
        supported(
            "top_logprobs",
            {"logprobs": True, "top_logprobs": 3},
            lambda a, p: len(a.choice["logprobs"]["content"][0]["top_logprobs"]) == 3,
            {"logprobs": True},
        ),
        refused("top_logprobs", {"logprobs": True, "top_logprobs": 21}, "above 20"),
        supported(
            "return_tokens_as_token_ids",
            {"logprobs": True, "return_tokens_as_token_ids": True},
            lambda a, p: (
                text_of(one["token"] for one in a.choice["logprobs"]["content"]) == p.text
            ),
            {"logprobs": True},
            "`token_id:17` in place of texts",
        ),
        supported("modalities", {"modalities": ["text"]}, same, note="`text`"),
        refused("modalities", {"modalities": ["audio"]}, "others"),
        supported(
            "add_generation_prompt",
            {"add_generation_prompt": False},
            lambda a, p: a.num_prompt < p.num_prompt,
        ),
        supported(
            "continue_final_message",
            {"messages": BEGUN, "continue_final_message": True},
            lambda a, p: a.text.startswith(" France") and not p.text.startswith(" France"),
            {"messages": BEGUN},
        ),
        supported(
            "echo",
            {"messages": BEGUN, "continue_final_message": True, "echo": True},
            lambda a, p: a.text == "The capital of" + p.text,
            {"messages": BEGUN, "continue_final_message": True},
            "what the answer goes on with",
        ),
        refused("reasoning_effort", {"reasoning_effort": "extreme"}, "others"),
        refused("verbosity", {"verbosity": "extreme"}, "others"),
        refused("audio", {"audio": {"voice": "alloy", "format": "wav"}}),
        refused("functions", {"functions": [{"name": "f"}]}, "use `tools`"),
        refused("function_call", {"function_call": "auto"}, "use `tool_choice`"),
        refused("moderation", {"moderation": {"model": "omni-moderation-latest"}}),
        refused("web_search_options", {"web_search_options": {}}),
    ]


BASE = {"model": MODEL, "messages": [ASK], "max_tokens": 12, "temperature": 0}
ROUTES = [
    Route("POST /v1/chat/completions", BASE, [*own(), *TEMPLATE, *generation.rows(), *tiers()])
]
