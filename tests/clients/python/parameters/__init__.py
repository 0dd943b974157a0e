"""What the API does with each of its parameters: one row each, which is sent and judged.

`rows` has the kinds of rows, every other file but `call`, `document` and `table` the rows of some
routes. A row that holds becomes a line of `docs/API.md`."""

from . import chat, completions, messages, models, status, tokens

ROUTES = [*chat.ROUTES, *completions.ROUTES, *messages.ROUTES]
ROUTES += [*models.ROUTES, *tokens.ROUTES, *status.ROUTES]
