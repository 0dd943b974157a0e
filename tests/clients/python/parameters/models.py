"""`GET /v1/models`, and of one."""

from .call import MODEL
from .rows import Route, answers, refused, supported

ROUTES = [
    Route(
        "GET /v1/models",
        {},
        [answers(lambda a: MODEL in [model["id"] for model in a.json["data"]], "lists the models")],
    ),
    Route(
        "GET /v1/models/{id}",
        {"id": MODEL},
        [
            supported("id", {}, lambda a, p: a.json["id"] == MODEL),
            refused(
                "id", {"id": "no-such-model"}, "404 for one that is not there", 404, param="model"
            ),
        ],
    ),
]
