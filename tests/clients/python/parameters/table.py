"""`docs/API.md` from the rows that held."""

HEAD = """# What the API does with each parameter

Written by `cargo xtask conformance --update` from the rows in `tests/clients/python/parameters/`:
each line was sent to the real binary with the real model, and stands here because what it says
held. Lines that end with "shown by" are the exception: they need another model than that, and the
test they name sends them to a server whose model is scripted. `cargo xtask test` tries all of them
again, and fails if a parameter of `/openapi.json` has no row or this file says something else.
The admin API is in [ADMIN.md](ADMIN.md). How people log in is in [LOGIN.md](LOGIN.md).
What is kept, and what runs, is of the key's project: to a key of another one it is not there
([PRIVACY.md](PRIVACY.md#who-sees-what)).

*Supported*: it does what its API says. *Accepted, ignored*: the answer is the same with it.
*Refused*: an error that names it, in that API's shape. An object's fields stand for the object.
"""


def render(routes, holds):
    """`holds(route, row)` says whether a row was proved; what was not is left out."""
    rows = {route.name: [] for route in routes}
    for route in routes:
        rows[route.name] += [row for row in route.rows if holds(route, row)]
    sections = [_section(*section) for section in rows.items()]
    return "\n".join([HEAD, *sections])


def _section(name, rows):
    lines = [f"## `{name}`", "", "| parameter | status | |", "|---|---|---|"]
    for row in sorted(rows, key=lambda row: (row.name, row.status != "supported", row.note)):
        name = f"`{row.name}`" if row.name else "—"
        shown = row.elsewhere and f"shown by {row.elsewhere}"
        note = ", ".join(filter(None, (row.note, shown)))
        lines.append(f"| {name} | {row.status} | {note} |")
    return "\n".join([*lines, ""])
