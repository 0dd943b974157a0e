"""`POST /v1/completions`."""

from . import generation, queue
from .call import MODEL, QUESTION, text_of, tokens
from .generation import same
from .rows import Route, proved_in, refused, required, supported

# What the template makes of the question, so that the shared rows fit here, too.
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


def own():
    scored = {"echo": True, "logprobs": 1, "max_tokens": 0, "prompt": "The quick brown fox"}
    return [
        required("prompt"),
        supported("prompt", lambda: {"prompt": tokens(PROMPT)}, same, note="token ids"),
        supported(
            "prompt",
            {"prompt": [PROMPT, "One, two,"]},
            lambda a, p: (len(a.choices), len(p.choices)) == (2, 1) and same(a, p),
            note="several",
        ),
        refused("prompt", {"prompt": []}, "empty"),
        supported(
            "logprobs",
            {"logprobs": 2},
            lambda a, p: (
                len(a.choice["logprobs"]["top_logprobs"][0]) >= 2 and p.choice["logprobs"] is None
            ),
        ),
        refused("logprobs", {"logprobs": 21}, "above 20"),
        supported(
            "return_tokens_as_token_ids",
            {"logprobs": 2, "return_tokens_as_token_ids": True},
            lambda a, p: (
                text_of(a.choice["logprobs"]["tokens"]) == p.text
                and all(text_of(top) for top in a.choice["logprobs"]["top_logprobs"])
            ),
            {"logprobs": 2},
            "`token_id:17` in place of texts",
        ),
        supported("echo", {"echo": True}, lambda a, p: a.text == PROMPT + p.text),
        supported(
            "echo",
            scored,
            lambda a, p: (
                a.text == scored["prompt"] and a.choice["logprobs"]["token_logprobs"][1] < 0
            ),
            note="with `logprobs` and `max_tokens` 0: scores the prompt",
        ),
        supported("best_of", {"best_of": 1}, same, note="the same as `n`"),
        refused("best_of", {"best_of": 2}, "other than `n`"),
        proved_in(
            "add_special_tokens",
            "server/http/tests/api/completions.rs",
            "the_tokenizers_own_tokens_can_be_left_out",
        ),
        refused("suffix", {"suffix": "."}),
    ]


BASE = {"model": MODEL, "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
ROUTES = [Route("POST /v1/completions", BASE, [*own(), *generation.rows(), *queue.rows()])]
