"""What probes and browsers ask; no key is needed."""

from .rows import Route, answers

ROUTES = [
    Route("GET /health", {}, [answers(lambda a: a.json["status"] == "ok", "it listens")]),
    Route(
        "GET /ready",
        {},
        [
            answers(
                lambda a: a.json["status"] == "ok",
                "all models answer, keys can be checked, and usage be recorded",
            )
        ],
    ),
    Route("GET /metrics", {}, [answers(lambda a: "agentbase_" in a.raw, "Prometheus' format")]),
    Route("GET /openapi.json", {}, [answers(lambda a: a.json["paths"], "the description")]),
    Route("GET /docs", {}, [answers(lambda a: "<html" in a.raw.lower(), "a page to browse it")]),
]
