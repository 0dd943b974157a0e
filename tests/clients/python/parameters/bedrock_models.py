"""What AWS's clients ask of Bedrock's models beside answers: which there are, and how many tokens a
request would have."""

import base64
import json

from .call import MODEL
from .chat import longer
from .completions import PROMPT
from .converse_inputs import ASK, TEXT
from .rows import Route, answers, refused, supported

FOUND = "404 for one that is not there"
ASKED = {"messages": [ASK], "system": [{"text": "You answer in one word, and never in two."}]}
# Without any, the model's template has one of its own.
SHORT = {"messages": [ASK], "system": [{"text": "Hi."}]}


def models(answer):
    return [model["modelId"] for model in answer.json["modelSummaries"]]


def filter_rows():
    none = {
        "byProvider": "Amazon",
        "byCustomizationType": "FINE_TUNING",
        "byOutputModality": "IMAGE",
        "byInferenceType": "PROVISIONED",
    }
    known = [name for name in none if name != "byProvider"]
    return [
        answers(lambda a: MODEL in models(a), "lists the models"),
        *(
            supported(name, {name: value}, lambda a, p: models(p) and not models(a))
            for name, value in none.items()
        ),
        *(refused(name, {name: "SOUND"}, "others") for name in known),
    ]


def counted(**form):
    return {"input": form}


def invoked(**body):
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return counted(invokeModel={"body": encoded})


def count_rows():
    body = {"prompt": PROMPT, "max_gen_len": 8}
    again = {"prompt": PROMPT * 2, "max_gen_len": 8}
    bad = {"messages": [ASK | {"content": []}]}
    return [
        supported("id", {}, lambda a, p: a.num_prompt > 5, note="the model's"),
        refused("id", {"id": "no-such-model"}, FOUND, 404, "model"),
        refused("input", {"input": None}, "where it is missing"),
        supported("input.converse", counted(converse=ASKED), longer, counted(converse=SHORT)),
        refused("input.converse", counted(converse=bad), "what converse refuses", says="content"),
        supported("input.invokeModel.body", invoked(**again), longer, invoked(**body)),
        refused(
            "input.invokeModel.body", counted(invokeModel={"body": "{}"}), "what is not base64"
        ),
    ]


ROUTES = [
    Route("GET /foundation-models", {}, filter_rows()),
    Route(
        "GET /foundation-models/{id}",
        {"id": MODEL},
        [
            supported("id", {}, lambda a, p: a.json["modelDetails"]["modelId"] == MODEL),
            refused("id", {"id": "no-such-model"}, FOUND, 404, "model"),
        ],
    ),
    Route(
        "POST /model/{id}/count-tokens",
        {"id": MODEL, "input": {"converse": {"messages": [ASK | {"content": [TEXT]}]}}},
        count_rows(),
    ),
]
