"""Ending a request that runs."""

import json

from . import streams
from .call import MODEL, QUESTION, opened
from .rows import Route, refused, supported

LONG = {"model": MODEL, "prompt": QUESTION, "max_tokens": 4000, "ignore_eos": True, "stream": True}
RUNNING = {}


def begun(id_of):
    """A request that runs, by the id that `id_of` has from its head and its first piece."""
    response = opened("POST /v1/completions", LONG)
    first = next(line for line in response if line.startswith(b"data: "))
    name = id_of(response.headers, json.loads(first.removeprefix(b"data: ")))
    RUNNING[name] = response
    return {"id": name}


def by_head():
    return begun(lambda head, _: head["x-request-id"])


def by_piece():
    return begun(lambda _, piece: piece["id"])


def has_ended(answer):
    """The request that was to be cancelled says that it was."""
    with RUNNING.pop(answer.json["id"]) as response:
        last = streams.server_sent(response.read().decode())[-1]
    return answer.json["cancelled"] and last["error"]["code"] == "request_cancelled"


ROWS = [
    supported(
        "id",
        by_head,
        lambda a, p: has_ended(a) and has_ended(p),
        by_piece,
        "`x-request-id` of the answer's head, or the id in its pieces",
    ),
    refused("id", {"id": "none"}, "404 where nothing runs", 404, "No request with this id"),
]
ROUTES = [
    Route("POST /v1/requests/{id}/cancel", {}, ROWS),
    Route("DELETE /v1/requests/{id}", {}, ROWS),
]
