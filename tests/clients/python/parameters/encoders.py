"""`POST /v1/embeddings`, and ranks and scores by the same model, of which angles are the measure.

Labels need another kind of model; who shows what they do is told by their rows."""

import base64
import math
import struct

from .call import EMBEDDER, MODEL, send
from .rows import Route, ignored, proved_in, refused, required, supported

TEXT = "The cat sat on the mat."
OTHER = "Interest rates were raised by the central bank."
LONG = "one two three four five six seven eight nine ten " * 200
TESTS = "server/http/tests/api/encoding"
NOT_THERE = "404 for one that is not there"


def vectors(answer):
    return [one["embedding"] for one in answer.json["data"]]


def near(one, other):
    """Whether two embeddings are the same, but for rounding beside others in a batch."""
    return len(one) == len(other) and sum(a * b for a, b in zip(one, other)) > 0.999


def same(answer, plain):
    return near(vectors(answer)[0], vectors(plain)[0])


def has_length_1(row):
    return math.isclose(sum(x * x for x in row), 1, abs_tol=1e-3)


def decoded(text):
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def tokens(text):
    """With those around."""
    return send("POST /tokenize", {"model": EMBEDDER, "prompt": text}).json["tokens"]


def cuts(long, limit="truncate_prompt_tokens"):
    """Rows of what becomes of inputs that are too long; `long` is such a request."""
    sides = [long | {limit: 9, "truncation_side": side} for side in ("left", "right")]
    return [
        supported(
            limit,
            long | {limit: 9},
            lambda a, p: a.num_prompt < p.num_prompt,
            long | {limit: -1},
            "-1: as much as the model reads",
        ),
        refused(limit, {limit: 0}, "outside the model's length"),
        refused(limit, {limit: 1 << 40}, "outside the model's length"),
        supported(
            "truncation_side",
            sides[0],
            lambda a, p: a.json["data" if "data" in a.json else "results"]
            != p.json["data" if "data" in p.json else "results"],
            sides[1],
        ),
        refused("truncation_side", {"truncation_side": "middle"}, "others"),
    ]


def embeddings():
    return [
        required("model"),
        refused("model", {"model": "no-such-model"}, NOT_THERE, 404),
        refused("model", {"model": MODEL}, "one that generates text"),
        required("input"),
        supported(
            "input",
            {"input": [TEXT, OTHER]},
            lambda a, p: len(vectors(a)) == 2 and same(a, p) and not near(*vectors(a)),
            note="several",
        ),
        supported("input", lambda: {"input": tokens(TEXT)}, same, note="token ids"),
        refused("input", {"input": []}, "empty"),
        refused("input", {"input": [TEXT, ""]}, "an empty one among others", param="input[]"),
        refused("input", {"input": [TEXT] * 2049}, "more than 2,048"),
        refused("input", {"input": LONG}, "longer than the model reads"),
        supported(
            "encoding_format",
            {"encoding_format": "base64"},
            lambda a, p: near(decoded(vectors(a)[0]), vectors(p)[0]),
            note="`float`, `base64`",
        ),
        refused("encoding_format", {"encoding_format": "bytes"}, "others"),
        proved_in(
            "dimensions",
            f"{TESTS}/embeddings.rs",
            "dimensions_cut_where_the_model_was_trained_for_it",
            "where the model was trained for it",
        ),
        refused("dimensions", {"dimensions": 7}, "where it was not"),
        ignored("user", {"user": "somebody"}),
        *cuts({"input": LONG}),
        supported(
            "add_special_tokens",
            {"add_special_tokens": False},
            lambda a, p: a.num_prompt < p.num_prompt,
        ),
        supported(
            "use_activation", {"use_activation": True}, lambda a, p: has_length_1(vectors(a)[0])
        ),
        proved_in(
            "use_activation",
            f"{TESTS}/embeddings.rs",
            "dimensions_cut_where_the_model_was_trained_for_it",
            "`false`, where the model's own rows have another length",
        ),
        refused("messages", {"messages": [{"role": "user", "content": TEXT}]}),
        refused("embed_dtype", {"embed_dtype": "float16"}),
        refused("endianness", {"endianness": "big"}),
    ]


DOCUMENTS = [OTHER, "A cat is sitting on a rug.", "It rained."]


def best(answer):
    return answer.json["results"][0]["index"]


def models(for_what):
    return [
        ignored("model", {"model": None}, note=f"where one model can {for_what}"),
        refused("model", {"model": "no-such-model"}, NOT_THERE, 404),
        refused("model", {"model": MODEL}, "one that generates text"),
    ]


def ranking(returns_documents):
    objects = [{"text": text} for text in DOCUMENTS]
    many = ["a"] * 2049
    shown = {True: lambda a: "document" in a.json["results"][0]}
    shown[False] = lambda a: not shown[True](a)
    return [
        *models("rank"),
        required("query"),
        supported("query", {"query": "monetary policy"}, lambda a, p: (best(a), best(p)) == (0, 1)),
        refused("query", {"query": ""}, "empty"),
        required("documents"),
        refused("documents", {"documents": []}, "empty"),
        refused("documents", {"documents": many}, "more than 2,048"),
        refused("documents", {"documents": ["", " "]}, "empty strings alone"),
        supported(
            "documents",
            {"documents": [*DOCUMENTS, ""]},
            lambda a, p: len(a.json["results"]) == 4 and best(a) == best(p),
            note="empty strings among others",
        ),
        supported("documents[].text", {"documents": objects}, lambda a, p: best(a) == best(p)),
        refused("documents[].text", {"documents": [{"id": 1}]}, "missing"),
        supported("top_n", {"top_n": 1}, lambda a, p: len(a.json["results"]) == 1),
        refused("top_n", {"top_n": 0}, "below 1"),
        supported(
            "return_documents",
            {"return_documents": not returns_documents},
            lambda a, p: shown[not returns_documents](a) and shown[returns_documents](p),
        ),
        supported(
            "max_tokens_per_doc",
            {"documents": [LONG], "max_tokens_per_doc": 5},
            lambda a, p: a.num_prompt < p.num_prompt,
        ),
        refused("max_tokens_per_doc", {"max_tokens_per_doc": 0}, "below 1"),
        supported(
            "truncation",
            {"documents": [LONG, TEXT], "truncation": True},
            lambda a, p: a.json["results"] == p.json["results"],
            {"documents": [LONG, TEXT]},
            "documents are cut to what the model reads, by default too",
        ),
        refused(
            "truncation",
            {"documents": [LONG], "truncation": False},
            "`false`, of documents that are longer",
            param="documents",
        ),
        *cuts({"documents": [LONG, TEXT]}),
        proved_in(
            "use_activation", f"{TESTS}/rerank.rs", "options_of_ranking_do_what_they_say"
        ),
        ignored("user", {"user": "somebody"}),
    ]


def score():
    return [
        *models("score"),
        required("text_1"),
        supported(
            "text_1",
            {"text_1": [TEXT, OTHER], "text_2": [TEXT, OTHER]},
            lambda a, p: all(one["score"] > 0.999 for one in a.json["data"]),
            note="each with its own of `text_2`",
        ),
        refused("text_1", {"text_1": [TEXT, TEXT]}, "neither one nor as many as `text_2` has"),
        required("text_2"),
        supported(
            "text_2",
            {"text_2": [TEXT, OTHER]},
            lambda a, p: a.json["data"][0]["score"] > a.json["data"][1]["score"],
        ),
        refused("text_2", {"text_2": []}, "empty"),
        *cuts({"text_2": LONG}),
        proved_in(
            "use_activation", f"{TESTS}/score.rs", "one_is_scored_with_all_or_each_with_its_own"
        ),
        ignored("user", {"user": "somebody"}),
    ]


def classify():
    told = ("texts_get_a_probability_for_each_label", "bad_inputs_name_their_field")
    cut = "texts_are_cut_from_the_side_that_is_named_and_framed_if_wanted"
    return [
        refused("model", {}, "one that does not classify"),
        proved_in("model", f"{TESTS}/classify.rs", told[0]),
        proved_in("input", f"{TESTS}/classify.rs", told[0]),
        proved_in("truncate_prompt_tokens", f"{TESTS}/classify.rs", told[1]),
        proved_in("truncation_side", f"{TESTS}/classify.rs", cut),
        proved_in("add_special_tokens", f"{TESTS}/classify.rs", cut),
        proved_in("use_activation", f"{TESTS}/classify.rs", told[0]),
        proved_in("user", f"{TESTS}/classify.rs", cut),
    ]


def moderations():
    told = "parts_are_one_input_and_pictures_none"
    return [
        refused("model", {}, "without `--moderation-model`", says="--moderation-model"),
        proved_in("model", f"{TESTS}/moderations.rs", "texts_are_judged_by_the_operators_classifier"),
        proved_in("input", f"{TESTS}/moderations.rs", "texts_are_judged_by_the_operators_classifier"),
        proved_in("input[].type", f"{TESTS}/moderations.rs", told),
        proved_in("input[].text", f"{TESTS}/moderations.rs", told),
    ]


RANK = {"model": EMBEDDER, "query": "a cat", "documents": DOCUMENTS}
ROUTES = [
    Route("POST /v1/embeddings", {"model": EMBEDDER, "input": TEXT}, embeddings()),
    Route("POST /rerank", RANK, ranking(True)),
    Route("POST /v1/rerank", RANK, ranking(True)),
    Route("POST /v2/rerank", RANK, ranking(False)),
    *(
        Route(f"POST {path}", {"model": EMBEDDER, "text_1": TEXT, "text_2": TEXT}, score())
        for path in ("/score", "/v1/score")
    ),
    *(
        Route(f"POST {path}", {"model": EMBEDDER, "input": TEXT}, classify())
        for path in ("/classify", "/v1/classify")
    ),
    Route("POST /v1/moderations", {"input": TEXT}, moderations()),
]
