"""Conversations and their items."""

import functools

from . import pages
from .call import send
from .rows import Route, refused, required, supported, unknown
from .stored import NONE, NOTES, is_gone, no_notes

PATH = "/v1/conversations"
ITEM = f"{PATH}/{{id}}/items/{{item_id}}"


def said(*texts):
    return [{"role": "user", "content": text} for text in texts]


def items(conversation):
    return send(f"GET {PATH}/{conversation}/items?order=asc").json["data"]


def texts(conversation):
    return [item["content"][0]["text"] for item in items(conversation)]


def make():
    """A new one, which says a, b and c."""
    body = {"items": said("a", "b", "c"), "metadata": {"a": "b"}}
    return {"id": send(f"POST {PATH}", body).json["id"]}


@functools.cache
def kept():
    """One that no row changes."""
    return make()


def second(conversation):
    """Its second item, too."""
    return conversation | {"item_id": items(conversation["id"])[1]["id"]}


def new_items(of):
    """Rows of items that are added; `of` tells the conversation from the answer."""
    return [
        supported("items", {"items": said("d")}, lambda a, p: texts(of(a))[-1:] == ["d"]),
        refused("items", {"items": said(*"x" * 21)}, "more than 20"),
        refused("items[].type", {"items": [{"type": "web_search_call"}]}, "others"),
        refused(
            "items[].type",
            {"items": [{"type": "item_reference", "id": "x"}]},
            "`item_reference`: what it holds are items",
        ),
        refused("items[].role", {"items": [{"role": "robot", "content": "x"}]}, "others"),
    ]


def noted(note):
    return [
        supported(
            "metadata",
            {"metadata": {"a": "c"}},
            lambda a, p: a.json["metadata"] == {"a": "c"} != p.json["metadata"],
            note=note,
        ),
        refused("metadata", {"metadata": {"a": "b" * 513}}, "values above 512 characters"),
    ]


def own(holds):
    """Of the conversation in the path."""
    return [supported("id", {}, holds), refused("id", {"id": "none"}, *NONE)]


def of_item(holds):
    """Of the item in the path, and its conversation."""
    return [
        *own(holds),
        refused("id", make, "404 for one that the item is not of", *NONE[1:]),
        supported("item_id", {}, holds),
        refused("item_id", {"item_id": "none"}, *NONE),
    ]


ROUTES = [
    Route(f"POST {PATH}", {}, [*new_items(lambda a: a.json["id"]), *noted("")]),
    Route(f"GET {PATH}/{{id}}", kept, own(lambda a, p: a.json["id"] == kept()["id"])),
    Route(
        f"POST {PATH}/{{id}}",
        lambda: make() | NOTES,
        [
            *own(lambda a, p: send(f"GET {PATH}/{a.json['id']}").json["metadata"] == {"c": "d"}),
            *noted("in place of those before"),
            required("metadata"),
            supported("metadata", {"metadata": {}}, no_notes, note="`{}`: none are left"),
        ],
    ),
    Route(
        f"DELETE {PATH}/{{id}}",
        make,
        own(lambda a, p: a.json["deleted"] and is_gone(f"{PATH}/{a.json['id']}")),
    ),
    Route(
        f"GET {PATH}/{{id}}/items",
        kept,
        [
            *own(lambda a, p: len(a.json["data"]) == 3),
            *pages.rows("asc"),
            unknown("include", "message.output_text.logprobs"),
        ],
    ),
    Route(
        f"POST {PATH}/{{id}}/items",
        lambda: make() | {"items": said("d")},
        [
            required("items"),
            *own(lambda a, p: texts(a.route.split("/")[3]) == ["a", "b", "c", "d"]),
            *new_items(lambda a: a.route.split("/")[3]),
        ],
    ),
    Route(
        f"GET {ITEM}",
        lambda: second(kept()),
        [
            *of_item(lambda a, p: a.json["content"][0]["text"] == "b"),
            unknown("include", "message.output_text.logprobs"),
        ],
    ),
    Route(
        f"DELETE {ITEM}",
        lambda: second(make()),
        of_item(lambda a, p: texts(a.json["id"]) == ["a", "c"]),
    ),
]
