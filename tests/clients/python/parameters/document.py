"""The parameters that an OpenAPI document describes.

A parameter is named as errors name it, without indices: `stream_options.include_usage`,
`messages[].role`; those of the path and the query by their names alone."""

# The admin API is tried by the tests of server/admin, and told in docs/ADMIN.md.
ADMIN = ("/v1/organization", "/api/v1/")


def routes(document):
    """All parameters by route: `{"POST /v1/completions": {"prompt", …}, …}`."""
    found = {}
    for path, methods in document["paths"].items():
        if path.startswith(ADMIN):
            continue
        for method, operation in methods.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                names |= _fields(document, content.get("schema", {}), "", ())
            found[f"{method.upper()} {path}"] = names
    return found


def _fields(document, schema, prefix, inside):
    """The names of all fields below a schema; a schema within itself is not followed again."""
    names = set()
    reference = schema.get("$ref")
    if reference:
        if reference in inside:
            return names
        inside += (reference,)
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
    for kind in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(kind, []):
            names |= _fields(document, part, prefix, inside)
    if isinstance(schema.get("items"), dict):
        names |= _fields(document, schema["items"], f"{prefix}[]", inside)
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        names |= {path} | _fields(document, field, path, inside)
    return names
