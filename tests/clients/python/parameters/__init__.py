"""What the API does with each of its parameters: one row each, which is sent and judged.

`rows` has the kinds of rows, every other file but `call`, `document`, `pages`, `streams` and
`table` the rows of some routes. A row that holds becomes a line of `docs/API.md`."""

from . import audio, bedrock_models, chat, completions, conversations, converse, encoders, invoke
from . import kept_responses, messages, models, requests, responses, status, stored, tei, tokens

ROUTES = [*chat.ROUTES, *stored.ROUTES, *completions.ROUTES]
ROUTES += [*responses.ROUTES, *kept_responses.ROUTES, *conversations.ROUTES]
ROUTES += [*messages.ROUTES, *converse.ROUTES, *invoke.ROUTES]
ROUTES += bedrock_models.ROUTES
ROUTES += [*encoders.ROUTES, *tei.ROUTES, *audio.ROUTES]
ROUTES += [*models.ROUTES, *tokens.ROUTES, *requests.ROUTES, *status.ROUTES]
