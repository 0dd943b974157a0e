"""Values that the server takes, for options whose type says less than what they may be."""

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
# Of these a request has one at most.
FORMS = {
    "response_format": {"type": "json_object"},
    "guided_json": CITY,
    "guided_regex": "a+",
    "guided_choice": ["a", "b"],
    "guided_grammar": 'start: "a"+',
    "structured_outputs": {"choice": ["a", "b"]},
}
# What is always refused, or is of nothing that there is.
REFUSED = ("output_format", "prompt_logprobs", "moderation", "guardrailConfig", "suffix")
REFUSED += ("previous_response_id", "conversation", "audio", "function_call", "functions")
REFUSED += ("prompt_name",)
SHARED = {
    "service_tier": "auto",
    "stop": ["x"],
    "logit_bias": {"1": 1},
    "reasoning_effort": "low",
    "verbosity": "low",
    "timeout": 60,
    "max_completion_tokens": 4,
    "top_p": 0.5,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "stream_options": {"include_usage": True},
    "prediction": {"type": "content", "content": "Hi"},
}
CHAT = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": CITY}}],
    "tool_choice": "auto",
    "logprobs": True,
    "top_logprobs": 1,
    "add_generation_prompt": True,
    "continue_final_message": False,
    "chat_template_kwargs": {"a": 1},
}
RESPONSES = {
    "tools": [{"type": "function", "name": "f", "parameters": CITY}],
    "tool_choice": "auto",
    "include": ["message.output_text.logprobs"],
    "truncation": "auto",
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "text"}},
    "background": False,
    "instructions": "Be brief.",
}
MESSAGES = {
    "tools": [{"name": "f", "input_schema": CITY, "strict": True}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "disabled"},
    "system": "Be brief.",
    "output_config": {"format": {"type": "json_schema", "schema": CITY}},
    "stop_sequences": ["x"],
}
SCHEMA = {"inputSchema": {"json": CITY}}
CONVERSE = {
    "toolConfig": {"tools": [{"toolSpec": {"name": "f", "strict": True} | SCHEMA}]},
    "outputConfig": {"textFormat": {"type": "text"}},
    "serviceTier": {"type": "flex"},
    "additionalModelRequestFields": {"top_k": 1},
    "system": [{"text": "Be brief."}],
    "inferenceConfig": {"temperature": 0.5, "topP": 0.5, "stopSequences": ["x"]},
}
CUT = {"truncate_prompt_tokens": -1, "truncation_side": "left"}
TEI_CUT = {"truncate": True, "truncation_direction": "Left"}
EMBEDDINGS = CUT | {"dimensions": 384, "use_activation": True, "encoding_format": "base64"}
RANKING = CUT | {"top_n": 1, "max_tokens_per_doc": 5}
# What is asked of encoders, in short; one of each that a body has.
SHORT = {"input": "Hi", "inputs": "Hi", "query": "Hi", "documents": ["Hi"], "texts": ["Hi"]}
SHORT |= {"text_1": "Hi", "text_2": "Hi"}
# Routes by the kind of model that they need, and values that it takes.
EMBEDDING = {
    "/v1/embeddings": EMBEDDINGS,
    "/embed": TEI_CUT | {"dimensions": 384, "normalize": True},
    "/similarity": {"parameters": TEI_CUT},
    "/rerank": RANKING | TEI_CUT,
    "/v1/rerank": RANKING,
    "/v2/rerank": RANKING,
    "/score": CUT,
    "/v1/score": CUT,
}
CLASSIFYING = {
    "/classify": CUT,
    "/v1/classify": CUT,
    "/predict": TEI_CUT,
    "/v1/moderations": {},
}
BY_PATH = {
    **EMBEDDING,
    **CLASSIFYING,
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"logprobs": 1, "best_of": None},
    "/v1/responses": RESPONSES,
    "/v1/responses/input_tokens": RESPONSES,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": MESSAGES,
    "/model/{id}/converse": CONVERSE,
    "/model/{id}/converse-stream": CONVERSE,
}
# What an option is refused without.
NEEDS = {"stream_options": {"stream": True}, "top_logprobs": {"logprobs": True}}


def mended(path, body, chance):
    """The options of a body with such values; of several forms of the answer one."""
    forms = [name for name in FORMS if name in body]
    chosen = chance.choice(forms) if forms else None
    known = SHARED | FORMS | BY_PATH.get(path, {})
    refused = {*REFUSED, *(["prompt"] if "/responses" in path else [])}
    taken = {
        name: known.get(name, value)
        for name, value in body.items()
        if name not in refused and (name not in FORMS or name == chosen)
    }
    for name, needed in NEEDS.items():
        taken |= needed if name in taken else {}
    return taken
