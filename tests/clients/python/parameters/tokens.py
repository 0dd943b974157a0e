"""`POST /tokenize` and `/detokenize`."""

from .call import MODEL, tokens
from .chat import BEGUN, TEMPLATE, TOOL, messages, turns
from .rows import Route, answers, ignored, proved_in, refused, required, supported

CHAT = {"prompt": None, **turns()}
PROMPT = {"model": MODEL, "prompt": "Hello"}


def more(answer, plain):
    return answer.json["count"] > plain.json["count"]


def fewer(answer, plain):
    return more(plain, answer)


def tokenize_rows():
    return [
        ignored("model", {"model": None}, note="where one model is served"),
        refused("model", {"model": "no-such-model"}, "404 for one that is not there", 404),
        supported("prompt", {"prompt": "Hello, world"}, more),
        refused("prompt", {"prompt": None}, "where `messages` are missing, too"),
        supported("messages", CHAT, more),
        refused("messages", turns(), "beside `prompt`", param="prompt"),
        supported("tools", CHAT | {"tools": [TOOL]}, more, CHAT),
        proved_in(
            "add_special_tokens",
            "server/http/tests/api/tokens.rs",
            "the_model_may_be_left_out_where_there_is_one",
        ),
        supported("add_generation_prompt", CHAT | {"add_generation_prompt": False}, fewer, CHAT),
        supported(
            "continue_final_message",
            CHAT | {"messages": BEGUN, "continue_final_message": True},
            fewer,
            CHAT | {"messages": BEGUN},
        ),
        supported(
            "return_token_strs",
            {"return_token_strs": True},
            lambda a, p: "".join(a.json["token_strs"]) == "Hello" and not p.json.get("token_strs"),
        ),
    ]


ROUTES = [
    Route("POST /tokenize", PROMPT, tokenize_rows()),
    Route("POST /tokenize", {"model": MODEL} | CHAT, [*messages(), *TEMPLATE]),
    Route(
        "GET /tokenizer_info",
        {},
        [answers(lambda a: a.json["eos_token"] == "<|im_end|>", "where one model is served")],
    ),
    Route(
        "POST /detokenize",
        {"model": MODEL, "tokens": [1, 2]},
        [
            ignored("model", {"model": None}, note="where one model is served"),
            refused("model", {"model": "no-such-model"}, "404 for one that is not there", 404),
            supported(
                "tokens",
                lambda: {"tokens": tokens("Hello")},
                lambda a, p: a.json["prompt"] == "Hello",
            ),
            required("tokens"),
            refused("tokens", {"tokens": [1 << 30]}, "outside the vocabulary"),
        ],
    ),
]
