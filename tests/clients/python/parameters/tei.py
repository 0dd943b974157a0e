"""The routes of text-embeddings-inference: `POST /embed`, `/similarity`, `/predict`, `/rerank` with
`texts`, and `GET /info`."""

from .call import EMBEDDER, MODEL
from .encoders import DOCUMENTS, LONG, NOT_THERE, OTHER, TESTS, TEXT, near, tokens
from .rows import Route, answers, proved_in, refused, supported

BAD = 413


def models():
    """Of the only model that fits it need not be named."""
    return [
        supported("model", {"model": EMBEDDER}, lambda a, p: bool(a.json), {"model": None}),
        refused("model", {"model": "no-such-model"}, NOT_THERE, 404, says="no-such-model"),
        refused("model", {"model": MODEL}, "one that generates text", BAD, says="model"),
    ]


def cuts(long, inside=""):
    """`long` makes a request of something too long, with more parameters."""
    prefix = f"{inside}." if inside else ""

    def more(fields):
        return long | ({inside: fields} if inside else fields)

    left = {"truncate": True, "truncation_direction": "Left"}
    return [
        supported(f"{prefix}truncate", more({"truncate": True}), lambda a, p: bool(a.json)),
        supported(
            f"{prefix}truncation_direction",
            more(left),
            lambda a, p: a.json != p.json,
            more(left | {"truncation_direction": "Right"}),
        ),
        refused(
            f"{prefix}truncation_direction",
            more({"truncation_direction": "Up"}),
            "others",
            BAD,
            says="truncation_direction",
        ),
    ]


def embed():
    return [
        *models(),
        supported(
            "inputs",
            {"inputs": [TEXT, OTHER]},
            lambda a, p: len(a.json) == 2 and near(a.json[0], p.json[0]),
            note="several",
        ),
        supported(
            "inputs",
            lambda: {"inputs": tokens(TEXT)},
            lambda a, p: near(a.json[0], p.json[0]),
            note="token ids",
        ),
        refused("inputs", {"inputs": None}, "missing", BAD),
        refused("inputs", {"inputs": LONG}, "longer than the model reads", BAD),
        refused("inputs", {"inputs": ["a"] * 2049}, "more than 2,048", BAD),
        supported("normalize", {"normalize": True}, lambda a, p: near(a.json[0], p.json[0])),
        refused("normalize", {"normalize": False}, "where the model itself normalizes", BAD),
        *cuts({"inputs": LONG}),
        proved_in("prompt_name", f"{TESTS}/tei.rs", "prompts_are_named"),
        refused("prompt_name", {"prompt_name": "none"}, "one that the model has not", BAD),
        proved_in("dimensions", f"{TESTS}/tei.rs", "embed_answers_with_arrays_alone"),
        refused("dimensions", {"dimensions": 7}, "where the model was not trained for it", BAD),
    ]


def similarity():
    def inputs(source, *sentences):
        return {"inputs": {"source_sentence": source, "sentences": list(sentences)}}

    return [
        *models(),
        supported(
            "inputs.source_sentence",
            inputs(OTHER, TEXT, OTHER),
            lambda a, p: a.json[0] < a.json[1] and p.json[0] > p.json[1],
        ),
        supported("inputs.sentences", inputs(TEXT, TEXT), lambda a, p: a.json[0] > 0.999),
        refused("inputs.sentences", inputs(TEXT), "empty", BAD),
        *cuts(inputs(TEXT, LONG), "parameters"),
        proved_in("parameters.prompt_name", f"{TESTS}/tei.rs", "prompts_are_named"),
    ]


def predict():
    told = "predict_takes_texts_pairs_and_batches"
    cut = "predict_cuts_what_is_too_long_from_the_side_that_is_named"
    return [
        refused("model", {}, "one that does not classify", BAD, says="model"),
        proved_in("model", f"{TESTS}/tei.rs", "errors_have_that_servers_shape_whoever_found_them"),
        proved_in("inputs", f"{TESTS}/tei.rs", told),
        proved_in("raw_scores", f"{TESTS}/tei.rs", told),
        proved_in("truncate", f"{TESTS}/tei.rs", cut),
        proved_in("truncation_direction", f"{TESTS}/tei.rs", cut),
    ]


def rerank():
    return [
        supported("texts", {}, lambda a, p: a.json[0]["index"] == 1),
        refused("texts", {"texts": []}, "empty", BAD),
        refused("texts", {"texts": [LONG]}, "longer than the model reads", BAD),
        supported(
            "return_text",
            {"return_text": True},
            lambda a, p: a.json[0]["text"] == DOCUMENTS[1] and "text" not in p.json[0],
        ),
        proved_in("raw_scores", f"{TESTS}/tei.rs", "rerank_with_texts_answers_as_that_server_does"),
        *cuts({"texts": [LONG]}),
    ]


SIMILAR = {"inputs": {"source_sentence": TEXT, "sentences": [TEXT, OTHER]}}
ROUTES = [
    Route("POST /embed", {"model": EMBEDDER, "inputs": TEXT}, embed()),
    Route("POST /similarity", {"model": EMBEDDER} | SIMILAR, similarity()),
    Route("POST /predict", {"model": EMBEDDER, "inputs": TEXT}, predict()),
    Route(
        "POST /rerank", {"model": EMBEDDER, "query": "a cat", "texts": DOCUMENTS}, rerank()
    ),
    Route(
        "GET /info",
        {},
        [answers(lambda a: a.json["model_id"] == EMBEDDER, "where one encoder is served")],
    ),
]
