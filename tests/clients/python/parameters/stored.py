"""Chat completions that are stored."""

import functools
import uuid

from . import chat, pages
from .call import MODEL, send
from .rows import Route, refused, required, supported

NOTES = {"metadata": {"c": "d"}}
NONE = ("404 for one that is not there", 404, "not found")
TURNS = [chat.ASK, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "Sure?"}]


def store(**metadata):
    """The id of a new one."""
    body = {"model": MODEL, "messages": TURNS, "max_tokens": 1, "store": True}
    return send("POST /v1/chat/completions", body | {"metadata": metadata}).json["id"]


@functools.cache
def kept():
    """The id of one that no row changes."""
    return store()


@functools.cache
def several():
    """What is noted on three, and on no others of this server."""
    of = uuid.uuid4().hex
    for number in "012":
        store(of=of, number=number)
    return of


def is_gone(path):
    return send(f"GET {path}").status == 404


def list_rows():
    every = "metadata[of]"
    return [
        *pages.rows("desc"),
        supported(
            "metadata",
            {"metadata[number]": "1"},
            lambda a, p: pages.ids(a) == pages.ids(p)[1:2] and len(pages.ids(p)) == 3,
            note="`metadata[NAME]=VALUE`, all of several",
        ),
        refused("metadata", {every: "x" * 513}, "values above 512 characters"),
        supported(
            "model", {"model": MODEL}, lambda a, p: pages.ids(a) == pages.ids(p), note="its id"
        ),
        supported(
            "model",
            {"model": "another"},
            lambda a, p: pages.ids(p) and not pages.ids(a),
            note="another's id",
        ),
    ]


def no_notes(answer, plain):
    return answer.json["metadata"] == {} != plain.json["metadata"]


def update_rows():
    noted = {"metadata": {"a": "c"}}
    return [
        required("metadata"),
        supported("metadata", {"metadata": {}}, no_notes, note="`{}`: none are left"),
        supported(
            "id", {}, lambda a, p: send(f"GET {PATH}/{a.json['id']}").json["metadata"] == {"c": "d"}
        ),
        refused("id", {"id": "none"}, *NONE),
        supported(
            "metadata",
            noted,
            lambda a, p: (a.json["metadata"], p.json["metadata"]) == ({"a": "c"}, {"c": "d"}),
            note="in place of those before",
        ),
        refused("metadata", {"metadata": {"a": "b" * 513}}, "values above 512 characters"),
    ]


PATH = "/v1/chat/completions"
ROUTES = [
    Route(f"GET {PATH}", lambda: {"metadata[of]": several()}, list_rows()),
    Route(
        f"GET {PATH}/{{id}}",
        lambda: {"id": kept()},
        [
            supported("id", {}, lambda a, p: a.json["id"] == kept() and a.text),
            refused("id", {"id": "none"}, *NONE),
        ],
    ),
    Route(
        f"GET {PATH}/{{id}}/messages",
        lambda: {"id": kept()},
        [
            supported(
                "id",
                {},
                lambda a, p: (
                    [turn["content"] for turn in a.json["data"]]
                    == [turn["content"] for turn in TURNS]
                ),
            ),
            refused("id", {"id": "none"}, *NONE),
            *pages.rows("desc"),
        ],
    ),
    Route(f"POST {PATH}/{{id}}", lambda: {"id": store(a="b")} | NOTES, update_rows()),
    Route(
        f"DELETE {PATH}/{{id}}",
        lambda: {"id": store()},
        [
            supported(
                "id", {}, lambda a, p: a.json["deleted"] and is_gone(f"{PATH}/{a.json['id']}")
            ),
            refused("id", {"id": "none"}, *NONE),
        ],
    ),
]
