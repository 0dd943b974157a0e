"""Responses that are kept, and those in the background."""

import functools

from . import pages
from .call import send
from .conversations import said
from .response_inputs import made
from .responses import finished
from .rows import NOTHING, Route, refused, supported, unknown
from .stored import NONE, is_gone

PATH = "/v1/responses"
LONG = {"input": "Count from 1 to 5000.", "max_output_tokens": 1500}
INPUT = said("a", "b", "c")


def make(**more):
    return {"id": made(**more)["id"]}


@functools.cache
def kept():
    """One that no row changes, with several items before it."""
    return make(input=INPUT)


@functools.cache
def in_background():
    """One that was made in the background, and is complete."""
    return {"id": finished(made(background=True)["id"]).json["id"]}


def running():
    """One that is worked on for long."""
    return make(background=True, **LONG)


@functools.cache
def cancelled():
    """One that was cancelled while it was worked on."""
    begun = running()
    send(f"POST {PATH}/{begun['id']}/cancel")
    return begun


def streamed(**more):
    return lambda: in_background() | {"stream": "true"} | more


def retrieve_rows():
    no_number = streamed(starting_after="x")
    return [
        supported("id", {}, lambda a, p: a.json["id"] == kept()["id"] and a.text),
        refused("id", {"id": "none"}, *NONE),
        supported(
            "stream",
            streamed(),
            lambda a, p: a.events[-1]["type"] == "response.completed" and a.text == p.text,
            in_background,
            "of one in the background",
        ),
        supported(
            "stream",
            lambda: cancelled() | {"stream": "true"},
            lambda a, p: (
                a.events[-1]["type"] == "response.cancelled" and a.events[-1]["response"] == p.json
            ),
            cancelled,
            "of one that was cancelled: its last event says so",
        ),
        refused("stream", {"stream": "true"}, "of others"),
        supported(
            "starting_after",
            streamed(starting_after=2),
            lambda a, p: a.events[0]["sequence_number"] == 3 and a.events == p.events[3:],
            streamed(),
        ),
        refused("starting_after", no_number, "what is no event's number"),
        unknown("include", "message.output_text.logprobs"),
        unknown("include_obfuscation", "true"),
    ]


def is_cancelled(answer):
    now = send(f"GET {PATH}/{answer.json['id']}").json
    return answer.json["status"] == now["status"] == "cancelled"


ROUTES = [
    Route(f"GET {PATH}/{{id}}", kept, retrieve_rows()),
    Route(
        f"DELETE {PATH}/{{id}}",
        make,
        [
            supported(
                "id", {}, lambda a, p: a.json["deleted"] and is_gone(f"{PATH}/{a.json['id']}")
            ),
            refused("id", {"id": "none"}, *NONE),
        ],
    ),
    Route(
        f"GET {PATH}/{{id}}/input_items",
        kept,
        [
            supported(
                "id",
                {"order": "asc"},
                lambda a, p: [item["content"][0]["text"] for item in a.json["data"]] == [*"abc"],
            ),
            refused("id", {"id": "none"}, *NONE),
            *pages.rows("asc"),
            unknown("include", "message.output_text.logprobs"),
        ],
    ),
    Route(
        f"POST {PATH}/{{id}}/cancel",
        {},
        [
            supported("id", running, lambda a, p: is_cancelled(a) and is_cancelled(p), running),
            refused("id", kept, "of one not in the background", says="background", param=NOTHING),
            refused("id", {"id": "none"}, *NONE),
        ],
    ),
]
