"""What the API does with each of its parameters: one row each, which is sent and judged.

`rows` has the kinds of rows, every other file but `call`, `document` and `table` the rows of some
routes. A row that holds becomes a line of `docs/API.md`."""

from . import chat, completions, messages, models, status, tokens

ROUTES = [*chat.ROUTES, *completions.ROUTES, *messages.ROUTES]
ROUTES += [*models.ROUTES, *tokens.ROUTES, *status.ROUTES]

# Routes that have tests elsewhere and no rows yet; the table says so. It shall become empty.
WITHOUT_ROWS = {
    "DELETE /v1/chat/completions/{id}",
    "DELETE /v1/conversations/{id}",
    "DELETE /v1/conversations/{id}/items/{item_id}",
    "DELETE /v1/requests/{id}",
    "DELETE /v1/responses/{id}",
    "GET /v1/chat/completions",
    "GET /v1/chat/completions/{id}",
    "GET /v1/chat/completions/{id}/messages",
    "GET /v1/conversations/{id}",
    "GET /v1/conversations/{id}/items",
    "GET /v1/conversations/{id}/items/{item_id}",
    "GET /v1/responses/{id}",
    "GET /v1/responses/{id}/input_items",
    "POST /model/{id}/converse",
    "POST /model/{id}/converse-stream",
    "POST /model/{id}/invoke",
    "POST /model/{id}/invoke-with-response-stream",
    "POST /v1/chat/completions/{id}",
    "POST /v1/conversations",
    "POST /v1/conversations/{id}",
    "POST /v1/conversations/{id}/items",
    "POST /v1/requests/{id}/cancel",
    "POST /v1/responses",
    "POST /v1/responses/input_tokens",
    "POST /v1/responses/{id}/cancel",
}
