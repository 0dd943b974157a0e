"""The kinds of rows. Each is one line where it is used: a parameter's name, what to add to the
route's request, and how to tell that it did what it should.

What is added may be a function, called when the row is tried. A parameter may have several rows;
the note tells them apart."""

import json
import pathlib
import re
import urllib.parse

from .call import send

REPOSITORY = pathlib.Path(__file__).parents[4]
SUPPORTED, IGNORED, REFUSED = "supported", "accepted, ignored", "refused"
NOTHING = ""


class Route:
    """A route, a request that it answers, and its rows.

    The request may be a function, called for each one: it makes what the route is about."""

    def __init__(self, name, base, rows):
        self.name, self.base, self.rows = name, base, rows
        self._plain = {}

    def send(self, more):
        """The base with `more` in it; a field that is None there is left out."""
        base = self.base() if callable(self.base) else self.base
        body = base | (more() if callable(more) else more)
        body = {name: value for name, value in body.items() if value is not None}
        method, path = self.name.split(" ", 1)
        # What stands in the path is not in the body.
        for name in [name for name in body if f"{{{name}}}" in path]:
            path = path.replace(f"{{{name}}}", str(body.pop(name)))
        if method != "POST":
            query = urllib.parse.urlencode(body)
            return send(f"{method} {path}" + (f"?{query}" if query else ""))
        return send(f"{method} {path}", body)

    def plain(self, more):
        """The answer to what many rows compare with, asked for once."""
        more = more() if callable(more) else more
        key = json.dumps(more, sort_keys=True)
        if key not in self._plain:
            self._plain[key] = self.send(more)
        return self._plain[key]


class Row:
    """One parameter, what the server does with it, and the proof."""

    def __init__(self, name, status, note, prove=None):
        self.name, self.status, self.note, self.prove = name, status, note, prove
        self.undocumented, self.elsewhere = False, None


def supported(name, with_it, holds, without=None, note="", status=200):
    """`holds(answer, plain)` compares the answers with the parameter and without; `status` is that
    of the former, where what the parameter does is to end the request."""

    def prove(route, case):
        answer, plain = route.send(with_it), route.plain(without or {})
        case.assertEqual((answer.status, plain.status), (status, 200), answer.raw + plain.raw)
        case.assertTrue(holds(answer, plain), f"with: {answer.raw}\nwithout: {plain.raw}")

    return Row(name, SUPPORTED, note, prove)


def required(name, note="required"):
    """Without it the request is refused."""

    def prove(route, case):
        case.assertEqual(route.plain({}).status, 200)
        check_refusal(case, route.send({name: None}), name, 400)

    return Row(name, SUPPORTED, note, prove)


def ignored(name, with_it, without=None, note="", also=lambda answer: True):
    """The answer is the same with it and without, and `also` holds of it."""

    def prove(route, case):
        answer, plain = route.send(with_it), route.plain(without or {})
        case.assertEqual((answer.status, plain.status), (200, 200), answer.raw + plain.raw)
        asked = {*(answer.body or {}), *(plain.body or {})}
        case.assertEqual(_steady(answer, asked), _steady(plain, asked))
        case.assertTrue(also(answer), answer.raw)

    return Row(name, IGNORED, note, prove)


def unknown(name, value, note="not in the document"):
    """The same for a parameter that others have and our document does not. In a name with dots
    the last is the parameter, and what is before it are the objects that it stands in."""
    first, *rest = name.split(".")
    for inner in reversed(rest):
        value = {inner: value}
    return undocumented(ignored(name, {first: value}, note=note))


def undocumented(row):
    """A row of a parameter that is not in our document."""
    row.undocumented = True
    return row


def in_time():
    """The time that a request gives itself, by each API's own error where it is too short."""
    return supported(
        "timeout",
        {"timeout": 0.001},
        lambda a, p: "not done within its own time of 0.001 s" in a.complaint and p.text,
        {"timeout": 60},
        "seconds; an error where the answer takes longer",
        status=408,
    )


def refused(name, with_it, note="", status=400, says=None, param=None):
    """The error has the route's shape and names the parameter, or `param`: several are one of them,
    `NOTHING` is none. It also says `says`."""

    def prove(route, case):
        check_refusal(case, route.send(with_it), name, status, says, param)

    return Row(name, REFUSED, note, prove)


def proved_in(name, path, test, note=""):
    """What this model cannot show: `test` in the file at `path` does, with another. Here it is
    seen that it is a test that runs, asserts something, and sends the parameter by its name."""

    def prove(_route, case):
        attributes, body = _function((REPOSITORY / path).read_text(), test)
        case.assertRegex(attributes, r"#\[(tokio::)?test\b", f"{test} is no test")
        case.assertNotRegex(attributes, r"#\[(ignore|cfg)\b", f"{test} does not always run")
        case.assertRegex(body, r"\bassert(_eq|_ne)?!\(", f"{test} asserts nothing")
        case.assertIn(f'"{name.rsplit(".", 1)[-1]}"', body, f"{test} does not send {name}")

    row = Row(name, SUPPORTED, note)
    row.prove, row.elsewhere = prove, f"`{test}` in `{path}`"
    return row


def _function(text, name):
    """The attributes and the body of a function in a Rust file."""
    head = rf"^((?: *#\[.*\]\n)*)( *)(?:async )?fn {name}\(\) \{{\n(.*?)^\2\}}"
    found = re.search(head, text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no {name}"
    return found[1], found[3]


def answers(holds, note=""):
    """The route itself, where nothing can be sent: its answer."""

    def prove(route, case):
        answer = route.send({})
        case.assertEqual(answer.status, 200, answer.raw)
        case.assertTrue(holds(answer), answer.raw)

    return Row("", SUPPORTED, note, prove)


def check_refusal(case, answer, name, status, says=None, param=None):
    """`error.param` is exactly the parameter where the API has that field, the places in lists
    left out; nothing is named where an id is that of nothing."""
    case.assertEqual(answer.status, status, answer.raw)
    message, named = answer.complaint, None
    if answer.names_parameter:
        by_id = status == 404 and name.endswith("id")
        expected = (NOTHING if by_id else name) if param is None else param
        expected = expected if isinstance(expected, tuple) else (expected,)
        named = _placeless(answer.json["error"]["param"] or NOTHING)
        case.assertIn(named, expected, answer.raw)
    if says:
        case.assertRegex(message, rf"(?<!\w){re.escape(says)}(?!\w)")
    elif not named:
        # The message must do: it quotes the parameter, or what it stands in and its own name.
        quoted = [f"'{name}'"]
        if "." in name:
            quoted.append("'{}': unknown variant `{}`".format(*name.rsplit(".", 1)))
        case.assertTrue(any(words in _placeless(message) for words in quoted), answer.raw)


def _placeless(name):
    return re.sub(r"\[\d+\]", "[]", name)


# What differs each time: names, times, and what is cached of a prompt.
VARYING = {"id", "created", "created_at", "completed_at", "metrics", "usage", "toolUseId"}


def _steady(answer, asked):
    """An answer without what differs each time; a response without what it repeats of what was
    asked."""
    repeated = asked if answer.json.get("object") == "response" else ()
    rest = {name: value for name, value in answer.json.items() if name not in repeated}
    said = answer.text if answer.events else None
    num_tokens = (answer.num_prompt, answer.num_new) if answer.usage else None
    return _same_each_time(rest), said, num_tokens


def _same_each_time(value):
    if isinstance(value, list):
        return [_same_each_time(inner) for inner in value]
    if isinstance(value, dict):
        return {n: _same_each_time(v) for n, v in value.items() if n not in VARYING}
    return value
