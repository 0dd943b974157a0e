"""Bedrock's `converse`, and `converse-stream`, which says the same in pieces."""

import json

from .chat import TEMPLATES, TOOL, longer
from .converse_inputs import BASE, CACHE, CACHED, prompt_rows, user
from .generation import SIZE, differs, fits, greedy, same
from .messages import NARROW, NARROWING, STRICT
from .rows import Route, ignored, proved_in, refused, supported, unknown

SPEC = {"name": "roll", "inputSchema": {"json": TOOL["function"]["parameters"]}}


def inference(**more):
    return {"inferenceConfig": BASE["inferenceConfig"] | more}


def tools(*more, num_new=12, **choice):
    """With the tool, and others."""
    config = {"tools": [{"toolSpec": SPEC}, *more]}
    if choice:
        config["toolChoice"] = choice
    return {"toolConfig": config} | inference(maxTokens=num_new)


def hot(**more):
    return inference(temperature=2) | {"additionalModelRequestFields": {"seed": 1} | more}


def long(**more):
    """An answer in which words come again."""
    asked = user({"text": "Repeat the word yes ten times."}) | inference(maxTokens=48)
    return asked | {"additionalModelRequestFields": more}


def thinking(**more):
    enabled = {"thinking": {"type": "enabled"} | more}
    return inference(maxTokens=1025) | {"additionalModelRequestFields": enabled}


def calls(answer):
    return [block["toolUse"] for block in answer.blocks if "toolUse" in block]


def inference_rows():
    config = "inferenceConfig"
    return [
        supported(
            f"{config}.maxTokens",
            inference(maxTokens=3),
            lambda a, p: a.num_new == 3 < p.num_new and a.reason == "max_tokens",
        ),
        refused(f"{config}.maxTokens", inference(maxTokens=0), "0", says="at least 1"),
        refused(
            f"{config}.maxTokens",
            inference(maxTokens=1 << 20),
            "what the context cannot hold",
            says="maximum context length",
        ),
        supported(
            f"{config}.temperature", inference(temperature=2), lambda a, p: differs(a, a.again())
        ),
        refused(f"{config}.temperature", inference(temperature=3), "outside 0 to 2"),
        supported(f"{config}.topP", inference(temperature=2, topP=1e-6), same),
        refused(f"{config}.topP", inference(topP=2), "outside 0 to 1"),
        supported(
            f"{config}.stopSequences",
            inference(stopSequences=[" France"]),
            lambda a, p: (
                a.text == p.text.split(" France")[0] != p.text and a.reason == "stop_sequence"
            ),
        ),
        refused(
            f"{config}.stopSequences",
            inference(stopSequences=["x"] * 2501),
            "more than 2,500",
        ),
    ]


def more_rows():
    """Fields that AWS leaves to the model."""
    more = "additionalModelRequestFields"
    outside = {
        "top_k": (-2, "below -1"),
        "min_p": (2, "outside 0 to 1"),
        "repetition_penalty": (0, "outside 0.01 to 100"),
        "presence_penalty": (3, "outside -2 to 2"),
        "frequency_penalty": (3, "outside -2 to 2"),
        "another": (1, "what is not known"),
    }
    return [
        supported(f"{more}.top_k", hot(top_k=1), greedy, hot()),
        supported(f"{more}.min_p", hot(min_p=1), greedy, hot()),
        supported(
            f"{more}.seed", hot(), lambda a, p: same(a, a.again()) and differs(a, p), hot(seed=2)
        ),
        *(
            supported(f"{more}.{name}", long(**{name: 2}), differs, long())
            for name in ("repetition_penalty", "presence_penalty", "frequency_penalty")
        ),
        *(
            refused(f"{more}.{name}", long(**{name: value}), note)
            for name, (value, note) in outside.items()
        ),
        proved_in(f"{more}.thinking.type", TEMPLATES, "blocks_of_bedrock_reach_the_template"),
        refused(f"{more}.thinking.type", long(thinking={"type": "always"}), "others"),
        ignored(
            f"{more}.thinking.budget_tokens",
            thinking(budget_tokens=1024),
            thinking(),
            "thoughts are not cut",
        ),
        refused(f"{more}.thinking.budget_tokens", thinking(budget_tokens=1023), "below 1,024"),
        refused(
            f"{more}.thinking.budget_tokens",
            thinking(budget_tokens=1025),
            "not below `inferenceConfig.maxTokens`",
        ),
    ]


def tool_rows():
    spec = "toolConfig.tools[].toolSpec"
    no_schema = {"toolSpec": {"name": "f", "inputSchema": {"text": "{}"}}}

    def only(**more):
        return {"toolConfig": {"tools": [{"toolSpec": SPEC | more}]}}

    def held(**more):
        """A call that must be made, of a schema with a keyword that cannot be honoured."""
        config = only(inputSchema={"json": NARROW}, **more)["toolConfig"]
        return inference(maxTokens=100) | {"toolConfig": config | {"toolChoice": {"any": {}}}}

    any_, forced = tools(num_new=100, any={}), tools(num_new=100, tool={"name": "roll"})
    return [
        supported(f"{spec}.name", only(name="roll_a_die_with_many_sides"), longer, only()),
        refused(f"{spec}.name", only(name="a b"), "odd characters"),
        supported(f"{spec}.description", only(description="Rolls a die"), longer, only()),
        supported(f"{spec}.inputSchema.json", only(), longer, only(inputSchema={"json": {}})),
        refused(f"{spec}.inputSchema.text", tools(no_schema), says="inputSchema.json"),
        proved_in(f"{spec}.strict", STRICT, "tools_of_converse_may_be_strict"),
        refused(f"{spec}.strict", held(strict=True), NARROWING, says="uniqueItems"),
        supported(
            f"{spec}.strict",
            held(strict=False),
            lambda a, p: calls(a) and not calls(p),
            note="false: such a keyword is passed over",
        ),
        ignored("toolConfig.tools[].cachePoint", tools(CACHE), tools(), CACHED),
        refused("toolConfig.tools[].systemTool", tools({"systemTool": {"name": "x"}})),
        supported(
            "toolConfig.toolChoice.any",
            any_,
            lambda a, p: calls(a) and a.reason == "tool_use" and not calls(p),
            tools(),
        ),
        ignored("toolConfig.toolChoice.auto", tools(auto={}), tools(), "as without"),
        supported(
            "toolConfig.toolChoice.tool.name",
            forced,
            lambda a, p: [call["name"] for call in calls(a)] == ["roll"] and not calls(p),
            tools(),
        ),
        refused(
            "toolConfig.toolChoice.tool.name",
            tools(tool={"name": "other"}),
            "of no tool",
            says="'toolConfig.toolChoice'",
        ),
    ]


def form(schema, **more):
    json_schema = {"jsonSchema": {"schema": schema, "name": "size"}}
    output = {"textFormat": {"type": "json_schema", "structure": json_schema} | more}
    return inference(maxTokens=40) | {"outputConfig": output}


def form_rows():
    form_of = "outputConfig.textFormat"
    text = {"outputConfig": {"textFormat": {"type": "text"}}}
    return [
        supported(form_of, form(json.dumps(SIZE)), fits, note="`json_schema`, the schema as text"),
        ignored(form_of, text, note="`text`: as without"),
        refused(f"{form_of}.type", form("{}", type="xml"), "others"),
        refused(f"{form_of}.type", form("{}", type=None), "where it is missing"),
        refused(form_of, form("{"), "what is no JSON", says="jsonSchema.schema"),
        refused(form_of, form('{"not": {}}'), "a schema that cannot be honoured", says='"not"'),
    ]


def tier(answer):
    return answer.json.get("serviceTier")


def rows():
    named = {"guardrailConfig": {"guardrailIdentifier": "x", "guardrailVersion": "1"}}
    return [
        *prompt_rows(),
        *inference_rows(),
        *more_rows(),
        *tool_rows(),
        *form_rows(),
        refused("guardrailConfig", named, "there are none"),
        unknown("additionalModelResponseFieldPaths", ["/stop_sequence"]),
        unknown("outputConfig.effort", "low"),
        unknown("performanceConfig", {"latency": "optimized"}),
        unknown("projectIdentifier", "x"),
        unknown("promptVariables", {"a": {"text": "b"}}),
        unknown("requestMetadata", {"a": "b"}),
        supported(
            "serviceTier.type",
            {"serviceTier": {"type": "flex"}},
            lambda a, p: (tier(a), tier(p)) == ({"type": "flex"}, None) and same(a, p),
            note="`priority`, `default`, `flex`, `reserved`; the answer says it",
        ),
        refused("serviceTier.type", {"serviceTier": {"type": "best"}}, "others"),
    ]


ROUTES = [Route(f"POST /model/{{id}}/converse{end}", BASE, rows()) for end in ("", "-stream")]
