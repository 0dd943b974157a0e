"""What chats and completions have in common: `GenerationOptions` of the document."""

import json

from .call import metric, tokens
from .rows import ignored, in_time, proved_in, refused, required, supported

HOT = {"temperature": 2, "seed": 1}
LONG = {"ignore_eos": True, "max_tokens": 48}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}
SIZE = {"type": "object", "properties": {"size": {"enum": ["S", "M"]}}, "required": ["size"]}
SIZE["additionalProperties"] = False


def differs(answer, plain):
    return answer.text != plain.text


def same(answer, plain):
    return answer.text == plain.text


def says(*texts):
    """One of these and nothing else, as would not be said otherwise."""
    return lambda answer, plain: answer.text in texts and plain.text not in texts


def fits(answer, plain):
    """An object of the schema [`SIZE`]."""
    return json.loads(answer.text)["size"] in ("S", "M") and differs(answer, plain)


def greedy(answer, plain):
    """Said is what is likeliest, though the temperature is high."""
    return "Paris" in answer.text and differs(answer, plain)


def schema(**more):
    named = {"name": "size", "schema": SIZE} | more
    return {"max_tokens": 40, "response_format": {"type": "json_schema", "json_schema": named}}


def guesses(answer, plain):
    """Tokens are guessed ahead for `plain` only."""
    name = "agentbase_draft_tokens_total"
    before = metric(name)
    answer.again()
    between = metric(name)
    plain.again()
    return same(answer, plain) and before == between < metric(name)


def rows():
    return [
        required("model"),
        refused("model", {"model": "no-such-model"}, "404 for one that is not there", 404),
        supported("stream", {"stream": True}, lambda a, p: len(a.events) > 3 and same(a, p)),
        supported(
            "stream_options.include_usage",
            {"stream": True, "stream_options": {"include_usage": True}},
            lambda a, p: a.usage["total_tokens"] == a.num_prompt + a.num_new and not p.usage,
            {"stream": True},
        ),
        refused("stream_options", {"stream_options": {}}, "without `stream`"),
        supported("n", {"n": 2}, lambda a, p: (len(a.choices), len(p.choices)) == (2, 1)),
        refused("n", {"n": 1000}, "above 128"),
        *lengths(),
        *sampling(),
        *endings(),
        *forms(),
        supported("speculation", LONG | {"speculation": False}, guesses, LONG),
        ignored("user", {"user": "somebody"}),
        *accompaniments(),
        *of_others(),
    ]


def of_others():
    """What vLLM has and this server does not: the answer would be another."""
    instead = {"allowed_token_ids": "use `logit_bias`", "bad_words": "use `logit_bias`"}
    instead["logits_processors"] = "use `logit_bias`"
    instead["prompt_logprobs"] = "use `echo` with `logprobs` of completions"
    options = {
        "allowed_token_ids": [1],
        "bad_words": ["a"],
        "logits_processors": ["a"],
        "use_beam_search": True,
        "guided_whitespace_pattern": " ?",
        "truncate_prompt_tokens": 1,
        "prompt_embeds": "AAAA",
        "chat_template": "{{ messages }}",
        "documents": [{"text": "a"}],
        "prompt_logprobs": 0,
        "return_token_ids": True,
    }
    return [
        refused(name, {name: value}, instead.get(name, "")) for name, value in options.items()
    ]


def accompaniments():
    """What changes when and how fast an answer comes, or is only noted."""
    accepted = "server/http/tests/api/accepted.rs"
    predicted = "what_was_predicted_comes_in_fewer_steps"
    return [
        ignored("metadata", {"metadata": {"a": "b"}}, note="kept with `store`"),
        refused("metadata", {"metadata": {"a": "b" * 513}}, "values above 512 characters"),
        ignored("store", {"store": False}, note="`true` keeps chat completions"),
        proved_in("prediction.type", accepted, predicted),
        proved_in("prediction.content[].type", accepted, predicted),
        proved_in("prediction.content[].text", accepted, predicted),
        *(
            refused(
                f"prediction.content[].image_url.{field}",
                {"prediction": {"type": "content", "content": [IMAGE]}},
                "only text is predicted",
                param="prediction.content[].type",
            )
            for field in ("detail", "url")
        ),
        refused(
            "prediction.content[].refusal",
            {"prediction": {"type": "content", "content": [{"type": "refusal", "refusal": "x"}]}},
            "only text is predicted",
            param="prediction.content[].type",
        ),
        ignored("safety_identifier", {"safety_identifier": "somebody"}),
        ignored("prompt_cache_key", {"prompt_cache_key": "somebody"}),
        ignored("reasoning_effort", {"reasoning_effort": "low"}, note="this template knows none"),
        ignored("verbosity", {"verbosity": "low"}, note="this template knows none"),
        in_time(),
        refused("timeout", {"timeout": 0}, "no time at all"),
    ]


def lengths():
    return [
        supported("max_tokens", {"max_tokens": 3}, lambda a, p: a.num_new == 3 < p.num_new),
        refused(
            "max_tokens",
            {"max_tokens": 1 << 20},
            "what the context cannot hold",
            says="maximum context length",
            param=("messages", "prompt"),
        ),
        supported(
            "max_completion_tokens",
            {"max_completion_tokens": 3},
            lambda a, p: a.num_new == 3 and a.reason == "length",
            note="wins over `max_tokens`",
        ),
        supported(
            "min_tokens",
            {"min_tokens": 14, "max_tokens": 16},
            lambda a, p: a.num_new >= 14 > p.num_new,
            {"max_tokens": 16},
        ),
        refused("min_tokens", {"min_tokens": 17}, "above `max_tokens`"),
    ]


def sampling():
    penalised = {"max_tokens": 48, "ignore_eos": True}
    hot_seed = {"temperature": 1.5, "seed": 7}
    return [
        supported("temperature", HOT, differs),
        refused("temperature", {"temperature": 2.5}, "outside 0 to 2"),
        supported("top_p", HOT | {"top_p": 1e-6}, greedy, HOT),
        refused("top_p", {"top_p": 0}, "outside 0 to 1, and 0"),
        supported("top_k", HOT | {"top_k": 1}, greedy, HOT),
        refused("top_k", {"top_k": -2}, "below -1"),
        supported("min_p", HOT | {"min_p": 1}, greedy, HOT),
        refused("min_p", {"min_p": 1.5}, "outside 0 to 1"),
        supported(
            "seed",
            hot_seed,
            lambda a, p: same(a, a.again()) and differs(a, p),
            hot_seed | {"seed": 8},
        ),
        supported("repetition_penalty", penalised | {"repetition_penalty": 2}, differs, penalised),
        refused("repetition_penalty", {"repetition_penalty": 0}, "outside 0.01 to 100"),
        supported("presence_penalty", penalised | {"presence_penalty": 2}, differs, penalised),
        refused("presence_penalty", {"presence_penalty": 3}, "outside -2 to 2"),
        supported("frequency_penalty", penalised | {"frequency_penalty": 2}, differs, penalised),
        refused("frequency_penalty", {"frequency_penalty": -3}, "outside -2 to 2"),
        supported(
            "logit_bias",
            lambda: {"logit_bias": {str(tokens("The")[0]): -100}},
            lambda a, p: p.text.startswith("The") and not a.text.startswith("The"),
        ),
        refused("logit_bias", {"logit_bias": {"-1": 1}}, "keys that are no token ids"),
    ]


def endings():
    stop = {"stop": [" France"]}
    return [
        supported(
            "stop", stop, lambda a, p: a.text == p.text.split(" France")[0] and differs(a, p)
        ),
        refused("stop", {"stop": list("abcde")}, "more than four"),
        supported(
            "stop_token_ids",
            lambda: {"stop_token_ids": tokens(" France")},
            lambda a, p: a.text == p.text.split(" France")[0] and differs(a, p),
        ),
        refused("stop_token_ids", {"stop_token_ids": [1 << 30]}, "outside the vocabulary"),
        supported(
            "include_stop_str_in_output",
            stop | {"include_stop_str_in_output": True},
            lambda a, p: a.text == p.text + " France",
            stop,
        ),
        supported(
            "ignore_eos",
            {"ignore_eos": True, "max_tokens": 16},
            lambda a, p: a.num_new == 16 > p.num_new,
            {"max_tokens": 16},
        ),
        supported(
            "skip_special_tokens",
            {"skip_special_tokens": False, "ignore_eos": True, "max_tokens": 16},
            lambda a, p: "<|im_end|>" in a.text and "<|im_end|>" not in p.text,
            {"ignore_eos": True, "max_tokens": 16},
        ),
    ]


def forms():
    """All ways to ask for a form of the answer."""
    room = {"max_tokens": 40}
    cannot = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}
    grammar = 'root ::= "red" | "blue"'

    def outputs(**form):
        return room | {"structured_outputs": form}

    return [
        supported(
            "response_format.type",
            {"response_format": {"type": "json_object"}},
            lambda a, p: a.text.startswith("{") and not p.text.startswith("{"),
            note="`text`, `json_object`, `json_schema`",
        ),
        refused("response_format.type", {"response_format": {"type": "xml"}}, "others"),
        supported("response_format.json_schema.schema", schema(), fits),
        refused(
            "response_format.json_schema.schema",
            {"response_format": cannot},
            "what cannot be honoured, by its keyword",
            says='"not"',
            param="response_format",
        ),
        ignored("response_format.json_schema.name", schema(), schema(name=None)),
        refused("response_format.json_schema.name", schema(name="a b"), "odd characters"),
        ignored("response_format.json_schema.description", schema(description="x"), schema()),
        ignored(
            "response_format.json_schema.strict",
            schema(strict=True),
            schema(strict=False),
            "of a schema that can be honoured",
        ),
        refused(
            "response_format.json_schema.strict",
            schema(strict=True, schema=SIZE | {"uniqueItems": True}),
            "with a keyword that cannot be honoured, which is else passed over",
            says="uniqueItems",
            param="response_format",
        ),
        supported("structured_outputs.json", outputs(json=SIZE), fits),
        supported(
            "structured_outputs.json_object",
            outputs(json_object=True),
            lambda a, p: a.text.startswith("{") and not p.text.startswith("{"),
        ),
        supported("structured_outputs.regex", outputs(regex="red|blue"), says("red", "blue")),
        supported(
            "structured_outputs.choice", outputs(choice=["red", "blue"]), says("red", "blue")
        ),
        supported("structured_outputs.grammar", outputs(grammar=grammar), says("red", "blue")),
        refused("structured_outputs", {"structured_outputs": {}}, "without a form"),
        supported("guided_json", room | {"guided_json": SIZE}, fits),
        supported("guided_regex", room | {"guided_regex": "red|blue"}, says("red", "blue")),
        supported("guided_choice", room | {"guided_choice": ["red", "blue"]}, says("red", "blue")),
        supported("guided_grammar", room | {"guided_grammar": grammar}, says("red", "blue")),
        refused("guided_grammar", {"guided_grammar": "root ::= ("}, "what is no grammar"),
    ]
