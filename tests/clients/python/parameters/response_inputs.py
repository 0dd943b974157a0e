"""What the prompt of a response is made of: rows for the two routes that take it."""

from . import conversations
from .call import MODEL, QUESTION, send
from .chat import IMAGES, IN_OTHER_WORDS, TEMPLATES, TOOL, longer
from .messages import another_prompt
from .rows import proved_in, refused, required, supported
from .stored import NONE

BASE = {"model": MODEL, "input": QUESTION, "max_output_tokens": 12, "temperature": 0}
ASK = {"role": "user", "content": QUESTION}
FUNCTION = {"type": "function"} | TOOL["function"]
CALL = {"type": "function_call", "call_id": "call_1", "name": "roll", "arguments": '{"n": 1}'}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
# So many tokens are kept free for the answer that little room is left before it.
CROWDED = {"max_output_tokens": 8000, "input": [ASK | {"content": "Well, " * 200}, ASK]}


def items(*more):
    return {"input": [ASK, *more]}


def parts(*more):
    return {"input": [{"role": "user", "content": list(more)}]}


def as_long(answer, plain):
    return answer.num_prompt == plain.num_prompt


def made(**more):
    return send("POST /v1/responses", BASE | more).json


def of_another():
    """A reference to what another response said."""
    return items({"type": "item_reference", "id": made()["output"][0]["id"]}, ASK)


def input_rows():
    """What the items of an input are."""
    text = {"type": "input_text", "text": QUESTION}
    system = items(ASK | {"role": "system"})
    return [
        required("input"),
        supported("input", items(), as_long, note="a text, or items: `message`"),
        supported("input", parts(text, text), longer, note="parts: `input_text`"),
        supported("input", items(ASK | {"role": "developer"}), as_long, system, "as `system`"),
        supported(
            "input",
            items(CALL, RESULT),
            longer,
            items(),
            "`function_call`, `function_call_output`",
        ),
        supported("input", of_another, longer, items(ASK), "`item_reference`"),
        proved_in(
            "input",
            TEMPLATES,
            "items_reach_the_template",
            "`reasoning`",
        ),
        refused("input[].type", items({"type": "web_search_call"}), "others"),
        refused(
            "input[].id",
            items({"type": "item_reference", "id": "none"}),
            "of no item",
            param="input",
        ),
        refused("input[].role", items(ASK | {"role": "robot"}), "others"),
        refused("input[].call_id", items(RESULT), "of no call before it"),
        refused(
            "input[].call_id",
            items(CALL, ASK),
            "of no output after it",
            says="No tool output found for function call call_1",
            param="input",
        ),
        proved_in("input", IMAGES, IN_OTHER_WORDS, "parts: `input_image`, by models that see"),
        refused(
            "input[].content[].image_url", parts({"type": "input_image"}), "where it is missing"
        ),
        refused("input[].content[].type", parts({"type": "input_file"}), "others: files"),
        refused("input[].content[].text", parts({"type": "input_text"}), "where it is missing"),
    ]


def context_rows():
    """What comes before an input."""
    both = {"previous_response_id": "resp_none", "conversation": "conv_none"}
    return [
        supported(
            "instructions",
            {"instructions": "You answer in one word, and never in two."},
            another_prompt,
        ),
        supported("previous_response_id", lambda: {"previous_response_id": made()["id"]}, longer),
        refused("previous_response_id", {"previous_response_id": "none"}, "of none"),
        supported("conversation.id", lambda: {"conversation": conversations.make()}, longer),
        supported(
            "conversation",
            lambda: {"conversation": conversations.make()["id"]},
            longer,
            note="the id alone",
        ),
        refused("conversation", both, "beside `previous_response_id`"),
        refused("conversation.id", {"conversation": "none"}, *NONE),
        supported("truncation", CROWDED | {"truncation": "auto"}, as_long, note="`auto`"),
        refused("truncation", {"truncation": "some"}, "others"),
    ]


def tool_rows():
    tools = {"tools": [FUNCTION]}
    both = {"tools": [FUNCTION, FUNCTION | {"name": "another"}]}
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "another"}]}
    return [
        supported("tools", tools, longer, note="`function`"),
        refused(
            "tools[].type", {"tools": [{"type": "web_search"}]}, "those that run on the server"
        ),
        refused("tools[].name", {"tools": [FUNCTION | {"name": "a b"}]}, "odd characters"),
        supported(
            "tool_choice",
            tools | {"tool_choice": "none"},
            lambda a, p: longer(p, a),
            tools,
            "`none`",
        ),
        supported(
            "tool_choice",
            both | {"tool_choice": allowed},
            lambda a, p: longer(p, a),
            both,
            "`allowed_tools`",
        ),
        refused("tool_choice", tools | {"tool_choice": allowed}, "of no tool"),
        refused("tool_choice", {"tool_choice": "required"}, "without `tools`"),
        refused("tool_choice.type", tools | {"tool_choice": {"type": "mcp"}}, "others"),
    ]


def prompt_rows():
    return [
        refused("model", {"model": "no-such-model"}, "404 for one that is not there", 404),
        refused("prompt", {"prompt": {"id": "pmpt_1"}}, "kept prompts"),
        refused("moderation", {"moderation": {"model": "omni-moderation-latest"}}),
        *input_rows(),
        *context_rows(),
        *tool_rows(),
    ]
