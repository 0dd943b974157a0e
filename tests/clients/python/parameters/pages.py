"""What lists have in common that go page by page."""

from .rows import SUPPORTED, Row, refused, supported


def ids(answer):
    return [thing["id"] for thing in answer.json["data"]]


def rows(other_order):
    """Of a list with several things, whose own order is not `other_order`."""
    return [
        supported(
            "limit",
            {"limit": 1},
            lambda a, p: a.json["has_more"] and ids(a) == ids(p)[:1] != ids(p),
        ),
        refused("limit", {"limit": 0}, "outside 1 to 100"),
        supported(
            "order",
            {"order": other_order},
            lambda a, p: ids(a) == ids(p)[::-1] != ids(p),
            note=f"`{other_order}` and the default, its opposite",
        ),
        refused("order", {"order": "up"}, "others"),
        Row("after", SUPPORTED, "an id", _after),
        refused("after", {"after": "none"}, "of nothing on the list"),
    ]


def _after(route, case):
    first, *rest = ids(route.plain({}))
    answer = route.send({"after": first})
    case.assertEqual(answer.status, 200, answer.raw)
    case.assertTrue(rest)
    case.assertEqual(ids(answer), rest)
