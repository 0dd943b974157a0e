"""Every parameter of every route does what its row in `parameters/` says, and `docs/API.md` is the
table of these rows."""

import os
import unittest

from parameters import ROUTES, document, table
from parameters.call import send
from parameters.rows import REFUSED, REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "API.md"
PROVED = set()


class Rows(unittest.TestCase):
    """One test per row, made below."""


def _test_of(route, row):
    def test(self):
        row.prove(route, self)
        PROVED.add((route.name, row))

    return test


for _number, (_route, _row) in enumerate((route, row) for route in ROUTES for row in route.rows):
    _name = f"test_{_route.name}_{_number:04}_{_row.name}_{_row.status}"
    setattr(Rows, _name, _test_of(_route, _row))


class Table(unittest.TestCase):
    """Comes after the rows: unittest runs classes by name."""

    def test_every_parameter_has_a_row(self):
        described = document.routes(send("GET /openapi.json").json)
        rows = {route.name: set() for route in ROUTES}
        for route in ROUTES:
            rows[route.name] |= {row.name for row in route.rows}
        self.assertEqual(sorted(rows), sorted(described), "routes that are known, those in the document")
        for route, names in described.items():
            leaves = {name for name in names if not _has_fields(name, names)}
            self.assertEqual(leaves - rows[route], set(), f"{route}: parameters without a row")

    def test_no_row_is_of_a_parameter_that_is_not_there(self):
        described = document.routes(send("GET /openapi.json").json)
        for route in ROUTES:
            for row in route.rows:
                undocumented = row.undocumented
                if row.name and row.status != REFUSED:
                    is_described = row.name in described[route.name]
                    self.assertNotEqual(is_described, undocumented, f"{route.name}: {row.name}")

    def test_the_table_in_the_docs_is_that_of_the_rows(self):
        proved = table.render(ROUTES, lambda route, row: (route.name, row) in PROVED)
        complete = table.render(ROUTES, lambda route, row: True)
        self.assertEqual(proved, complete, "some rows did not hold")
        if os.environ.get("AGENTBASE_UPDATE_DOCS"):
            DOCUMENT.write_text(proved)
        hint = "the rows have changed: run `cargo xtask conformance --update python`"
        self.assertEqual(DOCUMENT.read_text(), proved, hint)


def _has_fields(name, names):
    return any(other.startswith((f"{name}.", f"{name}[].")) for other in names)


if __name__ == "__main__":
    unittest.main()
