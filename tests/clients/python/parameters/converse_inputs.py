"""What the prompt of Bedrock's `converse` is made of."""

from .call import MODEL, QUESTION
from .chat import TEMPLATES, longer
from .messages import another_prompt
from .rows import ignored, proved_in, refused, required, supported, undocumented

TEXT = {"text": QUESTION}
ASK = {"role": "user", "content": [TEXT]}
USE = {"toolUseId": "call_1", "name": "roll", "input": {"n": 1}}
RESULT = {"toolUseId": "call_1", "content": [{"text": "4"}]}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
IMAGE = {"image": {"format": "png", "source": {"bytes": ""}}}
S3 = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://a/b.png"}}}}
IMAGES, SEEN = "server/http/tests/api/bedrock_images.rs", "converse_takes_images"
REDACTED = {"reasoningContent": {"redactedContent": "SG0u"}}
CACHED = "whatever is computed is cached"
CACHE = {"cachePoint": {"type": "default"}}
BASE = {"id": MODEL, "messages": [ASK], "inferenceConfig": {"maxTokens": 12, "temperature": 0}}
# What AWS has in messages and we have not.
OTHERS = ("document", "video", "audio", "guardContent", "citationsContent", "searchResult")
OTHERS += ("toolAddition", "toolRemoval")


def user(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def said(*blocks):
    """What the assistant says between two questions."""
    return {"messages": [ASK, {"role": "assistant", "content": list(blocks)}, ASK]}


def used(use=USE, result=RESULT):
    answered = {"role": "user", "content": [{"toolResult": result}]}
    called = {"role": "assistant", "content": [{"toolUse": use}]}
    return {"messages": [ASK, called, answered]}


def message_rows():
    content = "messages[].content[]"
    return [
        refused("id", {"id": "no-such-model"}, "404 for a model that is not there", 404, "model"),
        supported("id", {}, lambda a, p: a.text, note="the model's"),
        required("messages"),
        supported("messages[].role", said(TEXT), longer, note="`user`, `assistant`"),
        refused("messages[].role", {"messages": [ASK | {"role": "system"}]}, "others"),
        supported(f"{content}.text", user(TEXT, TEXT), longer),
        refused(content, user({"text": "a"} | CACHE), "of two kinds"),
        *(refused(f"{content}.{name}", user(TEXT, {name: {}})) for name in OTHERS),
        *image_rows(f"{content}.image"),
        ignored(f"{content}.cachePoint", user(TEXT, CACHE), note=CACHED),
        proved_in(
            f"{content}.reasoningContent.reasoningText.text",
            TEMPLATES,
            "blocks_of_bedrock_reach_the_template",
        ),
        ignored(
            f"{content}.reasoningContent.redactedContent",
            said(REDACTED, TEXT),
            said(TEXT),
            "no model here can read it",
        ),
        refused(f"{content}.reasoningContent", user(THOUGHT), "of the user"),
    ]


def image_rows(image):
    unknown = {"image": IMAGE["image"] | {"format": "bmp"}}
    return [
        proved_in(f"{image}.format", IMAGES, SEEN, "of no effect: the bytes tell"),
        refused(f"{image}.format", user(unknown), "others", says="unknown variant `bmp`"),
        proved_in(f"{image}.source.bytes", IMAGES, SEEN, "by models that see"),
        refused(
            f"{image}.source.bytes",
            user(TEXT, IMAGE),
            "by models that do not see",
            says="cannot see images",
        ),
        refused(f"{image}.source.s3Location", user(S3), "nothing is fetched from S3"),
        refused(
            image,
            {"messages": [{"role": "assistant", "content": [IMAGE]}]},
            "of the assistant",
        ),
    ]


def call_rows():
    use, result = "messages[].content[].toolUse", "messages[].content[].toolResult"
    more = USE | {"input": {"n": 1, "why": "to see"}}
    renamed = USE | {"name": "roll_a_die_with_many_sides"}
    given = RESULT | {"content": [{"json": {"fell": 4}}]}
    empty = RESULT | {"content": []}
    return [
        supported(f"{use}.toolUseId", used(), longer),
        refused(f"{use}.toolUseId", used({"name": "roll", "input": {}}), "where it is missing"),
        supported(f"{use}.name", used(renamed), longer, used()),
        supported(f"{use}.input", used(more), longer, used()),
        refused(use, user({"toolUse": USE}), "of the user"),
        refused(
            f"{use}.toolUseId",
            said({"toolUse": USE}),
            "of no result in the next message",
            says="Expected toolResult blocks at",
        ),
        supported(f"{result}.toolUseId", used(), longer),
        refused(
            f"{result}.toolUseId",
            used(result=RESULT | {"toolUseId": "other"}),
            "of no call before it",
            says="more toolResult blocks than toolUse blocks of the previous turn",
        ),
        supported(f"{result}.content[].text", used(), longer, used(result=empty)),
        supported(f"{result}.content[].json", used(result=given), longer, used()),
        refused(
            f"{result}.content[].image",
            used(result=RESULT | {"content": [{"image": {}}]}),
            "others: images, documents",
        ),
        undocumented(
            ignored(
                f"{result}.status",
                used(result=RESULT | {"status": "error"}),
                used(),
                "not in the document",
            )
        ),
    ]


def system_rows():
    blocks = {
        "image.format": IMAGE,
        "image.source.bytes": IMAGE,
        "image.source.s3Location": S3,
        "toolUse.toolUseId": {"toolUse": USE},
        "toolUse.name": {"toolUse": USE},
        "toolUse.input": {"toolUse": USE},
        "toolResult.toolUseId": {"toolResult": RESULT},
        "toolResult.content[].text": {"toolResult": RESULT},
        "toolResult.content[].json": {"toolResult": RESULT | {"content": [{"json": {}}]}},
        "reasoningContent.reasoningText.text": THOUGHT,
        "reasoningContent.redactedContent": REDACTED,
    }
    brief = {"text": "You answer in one word, and never in two."}
    return [
        supported("system[].text", {"system": [brief]}, another_prompt),
        ignored("system[].cachePoint", {"system": [brief, CACHE]}, {"system": [brief]}, CACHED),
        refused("system[].guardContent", {"system": [{"guardContent": {}}]}),
        *(
            refused(f"system[].{name}", {"system": [block]}, "only text is", says="'system'")
            for name, block in blocks.items()
        ),
    ]


def prompt_rows():
    return [*message_rows(), *call_rows(), *system_rows()]
