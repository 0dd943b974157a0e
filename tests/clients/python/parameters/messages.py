"""Anthropic's `POST /v1/messages`, and `/v1/messages/count_tokens`, which takes the same and looks
at the prompt only."""

from .call import MODEL, QUESTION
from .chat import IMAGES, IN_OTHER_WORDS, TEMPLATES, TOOL, longer
from .generation import SIZE, differs, same
from .rows import Route, ignored, in_time, proved_in, refused, required, supported, unknown

ASK = {"role": "user", "content": QUESTION}
FUNCTION = {"name": "roll", "input_schema": TOOL["function"]["parameters"]}
BLOCK = {"type": "text", "text": QUESTION}
USE = {"type": "tool_use", "id": "toolu_1", "name": "roll", "input": {"n": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}
# A schema with a keyword that cannot be honoured and only narrows it.
NARROW = FUNCTION["input_schema"] | {"uniqueItems": True}
NARROWING = "with a keyword that cannot be honoured, which is else passed over"
STRICT = "server/http/tests/api/strict.rs"
ANY = {"tools": [FUNCTION], "tool_choice": {"type": "any"}, "max_tokens": 100}


def user(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def used(block=USE, result=RESULT):
    answered = {"role": "user", "content": [result]}
    return {"messages": [ASK, {"role": "assistant", "content": [block]}, answered]}


def calls(answer):
    return [block for block in answer.blocks if block["type"] == "tool_use"]


def prompt_rows():
    """What the prompt is made of: `longer` holds of both routes."""
    content = "messages[].content[]"
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    more = USE | {"input": {"n": 1, "why": "to see"}}
    renamed = {"tools": [FUNCTION | {"name": "roll_a_die_with_many_sides"}]}
    described = {"tools": [FUNCTION | {"description": "Rolls a die"}]}
    tools = {"tools": [FUNCTION]}
    bare = {"tools": [{"name": "roll"}]}
    no_id = {name: value for name, value in USE.items() if name != "id"}
    return [
        required("messages"),
        supported(
            "messages[].role",
            {"messages": [ASK, {"role": "assistant", "content": "A"}, ASK]},
            longer,
            note="`user`, `assistant`",
        ),
        refused("messages[].role", {"messages": [{"role": "system", "content": "x"}]}, "others"),
        supported("messages[].content", user(BLOCK, BLOCK), longer, note="a text, or blocks"),
        supported(f"{content}.text", user(BLOCK, BLOCK), longer, user(BLOCK)),
        refused(f"{content}.text", user({"type": "text"}), "where it is missing"),
        supported(
            f"{content}.type", used(), longer, note="`text`, `tool_use`, `tool_result`, `thinking`"
        ),
        refused(
            f"{content}.type",
            user({"type": "document"}),
            "others: documents",
            says="Content of type 'document'",
        ),
        *(
            proved_in(
                f"{content}.source.{field}",
                IMAGES,
                IN_OTHER_WORDS,
                "of `image`, by models that see",
            )
            for field in ("type", "media_type", "data")
        ),
        refused(
            f"{content}.source.url",
            user(image | {"source": {"type": "url", "url": "https://a.example/"}}),
            "by models that do not see, and where the server does not fetch",
            says="cannot see images",
        ),
        supported(f"{content}.id", used(), longer),
        refused(f"{content}.id", used(no_id), "where it is missing"),
        supported(
            f"{content}.name", used(USE | {"name": "roll_a_die_with_many_sides"}), longer, used()
        ),
        supported(f"{content}.input", used(more), longer, used()),
        supported(f"{content}.tool_use_id", used(), longer),
        refused(
            f"{content}.tool_use_id",
            used(result=RESULT | {"tool_use_id": "other"}),
            "of no call before it",
            says="unexpected `tool_use_id` found in `tool_result` blocks",
        ),
        refused(
            f"{content}.id",
            {"messages": [ASK, {"role": "assistant", "content": [USE]}, ASK]},
            "of no result in the next message",
            says="`tool_use` ids were found without `tool_result` blocks immediately after",
        ),
        supported(
            f"{content}.content", used(result=RESULT | {"content": "4, as it fell"}), longer, used()
        ),
        supported(
            "system", {"system": "You answer in one word, and never in two."}, another_prompt
        ),
        supported(
            "system[].text", {"system": [BLOCK]}, longer, {"system": [BLOCK | {"text": "x"}]}
        ),
        supported("system[].type", {"system": [BLOCK]}, longer, {"system": "x"}, "`text`"),
        refused("system[].type", {"system": [image]}, "others", says="'system'"),
        *(
            refused(f"system[].source.{field}", {"system": [image]}, "only text", says="'system'")
            for field in ("type", "media_type", "data", "url")
        ),
        *(
            ignored(
                f"system[].{name}",
                {"system": [BLOCK | {name: "x"}]},
                {"system": [BLOCK]},
                "a block of text has none",
            )
            for name in ("id", "name", "thinking", "tool_use_id", "content", "input")
        ),
        refused(
            "output_format",
            {"output_format": {"type": "json_schema", "schema": SIZE}},
            "use `output_config.format`",
        ),
        supported("tools[].name", renamed, longer, tools),
        refused("tools[].name", {"tools": [{"name": "a b"}]}, "odd characters"),
        supported("tools[].description", described, longer, tools),
        supported("tools[].input_schema", tools, longer, bare),
        ignored("tools[].type", {"tools": [FUNCTION | {"type": "custom"}]}, tools, "`custom`"),
        refused(
            "tools[].type",
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools that run on the server",
            says="Tools that run on the server",
        ),
        supported(
            "tool_choice.type",
            tools | {"tool_choice": {"type": "none"}},
            lambda a, p: a.num_prompt < p.num_prompt,
            tools,
            "`none`, `auto`",
        ),
        refused("tool_choice.type", tools | {"tool_choice": {"type": "all"}}, "others"),
        refused(
            "tool_choice.name",
            tools | {"tool_choice": {"type": "tool", "name": "other"}},
            "of no tool",
            says="'tool_choice'",
        ),
    ]


def another_prompt(answer, plain):
    return answer.num_prompt != plain.num_prompt


def create_rows():
    named = {"type": "tool", "name": "roll"}
    form = {"type": "json_schema", "schema": SIZE}
    alone = {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    narrow = FUNCTION | {"input_schema": NARROW}
    return [
        required("model"),
        required("max_tokens"),
        supported("max_tokens", {"max_tokens": 3}, lambda a, p: a.num_new == 3 < p.num_new),
        supported("stream", {"stream": True}, lambda a, p: len(a.events) > 5 and same(a, p)),
        supported(
            "stop_sequences",
            {"stop_sequences": [" France"]},
            lambda a, p: a.json["stop_sequence"] == " France" and differs(a, p),
        ),
        refused("stop_sequences", {"stop_sequences": ["x"] * 2501}, "more than 2,500"),
        supported("temperature", {"temperature": 2}, lambda a, p: differs(a, a.again())),
        refused("temperature", {"temperature": 3}, "outside 0 to 2"),
        supported("top_p", {"temperature": 2, "top_p": 1e-6}, lambda a, p: same(a, p)),
        refused("top_p", {"top_p": 2}, "outside 0 to 1"),
        supported("top_k", {"temperature": 2, "top_k": 1}, lambda a, p: same(a, p)),
        refused("top_k", {"top_k": -2}, "below -1"),
        supported(
            "tool_choice.type",
            ANY,
            lambda a, p: calls(a) and a.reason == "tool_use",
            note="`any`, `tool`",
        ),
        supported(
            "tool_choice.name",
            ANY | {"tool_choice": named},
            lambda a, p: [call["name"] for call in calls(a)] == ["roll"],
        ),
        supported(
            "tool_choice.disable_parallel_tool_use",
            ANY | alone,
            lambda a, p: len(calls(a)) == 1 < len(calls(p)),
            ANY,
        ),
        proved_in("tools[].strict", STRICT, "tools_of_messages_may_be_strict"),
        refused(
            "tools[].strict",
            ANY | {"tools": [narrow | {"strict": True}]},
            NARROWING,
            says="uniqueItems",
        ),
        supported(
            "tools[].strict",
            ANY | {"tools": [narrow | {"strict": False}]},
            lambda a, p: calls(a) and not calls(p),
            note="false: such a keyword is passed over",
        ),
        supported(
            "output_config.format.schema",
            {"output_config": {"format": form}, "max_tokens": 40},
            lambda a, p: '"size"' in a.text and differs(a, p),
        ),
        supported(
            "output_config.format.type",
            {"output_config": {"format": form}, "max_tokens": 40},
            lambda a, p: '"size"' in a.text and differs(a, p),
            note="`json_schema`",
        ),
        refused(
            "output_config.format.type", {"output_config": {"format": {"type": "xml"}}}, "others"
        ),
        unknown("metadata", {"user_id": "x"}),
        ignored("service_tier", {"service_tier": "auto"}, note="`standard_only` too"),
        in_time(),
        refused("timeout", {"timeout": 0}, "no time at all"),
    ]


def count_rows():
    """What has to do with the answer is read and left alone."""
    plain = {
        "max_tokens": 3,
        "stream": True,
        "stop_sequences": ["x"],
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "model": None,
        "service_tier": "auto",
        "timeout": 60,
    }
    no_count = "of no effect on a count"
    rows = [ignored(name, {name: value}, note=no_count) for name, value in plain.items()]
    tools = {"tools": [FUNCTION]}
    form = {"format": {"type": "json_schema", "schema": SIZE}}
    nested = {
        "output_config.format.type": {"output_config": form},
        "output_config.format.schema": {"output_config": form},
    }
    choice = {"type": "any", "disable_parallel_tool_use": True}
    return [
        *rows,
        *(ignored(name, more, note=no_count) for name, more in nested.items()),
        ignored(
            "tool_choice.disable_parallel_tool_use",
            tools | {"tool_choice": choice},
            tools,
            no_count,
        ),
        supported(
            "tools[].strict",
            {"tools": [FUNCTION | {"strict": True}]},
            longer,
            tools,
            "the model is told",
        ),
    ]


def thinking(**more):
    return {"thinking": {"type": "enabled"} | more, "max_tokens": 1025}


THINKING = [
    proved_in("thinking.type", TEMPLATES, "messages_reach_the_template"),
    refused("thinking.type", {"thinking": {"type": "always"}}, "others"),
    ignored(
        "thinking.budget_tokens", thinking(budget_tokens=1024), thinking(), "thoughts are not cut"
    ),
    refused("thinking.budget_tokens", thinking(budget_tokens=1023), "below 1,024"),
    refused("thinking.budget_tokens", thinking(budget_tokens=1025), "not below `max_tokens`"),
    proved_in("messages[].content[].thinking", TEMPLATES, "messages_reach_the_template"),
]
CREATE = {"model": MODEL, "messages": [ASK], "max_tokens": 12, "temperature": 0}
COUNT = {"model": MODEL, "messages": [ASK]}
ROUTES = [
    Route("POST /v1/messages", CREATE, [*create_rows(), *prompt_rows(), *THINKING]),
    Route("POST /v1/messages/count_tokens", COUNT, [*count_rows(), *prompt_rows(), *THINKING]),
]
