"""What is read from a stream: its events, and the answer that they come to."""

import base64
import json

from botocore.eventstream import EventStreamBuffer


def server_sent(text):
    """The data of server-sent events."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def framed(data):
    """AWS's frames: each payload by its event's type, or what is in its chunk."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [_payload(frame.headers, json.loads(frame.payload)) for frame in buffer]


def _payload(headers, payload):
    if headers.get(":event-type") == "chunk":
        return json.loads(base64.b64decode(payload["bytes"]))
    return {headers.get(":event-type", headers.get(":exception-type")): payload}


def said(event):
    """The text in one event."""
    for choice in event.get("choices", []):
        return choice.get("text") or choice.get("delta", {}).get("content") or ""
    if event.get("type") == "response.output_text.delta":
        return event["delta"]
    for output in event.get("outputs", []):
        return output["text"]
    if "generation" in event:
        return event["generation"]
    delta = event.get("contentBlockDelta", event).get("delta")
    return delta.get("text", "") if isinstance(delta, dict) else ""


def whole(events):
    """The whole answer, where the last events tell it: Responses' and Converse's."""
    last = events[-1] if events else {}
    if "response" in last:
        return last["response"]
    if "metadata" not in last:
        return {}
    blocks, answer = {}, dict(last["metadata"])
    for event in events:
        for kind, data in event.items():
            if kind == "contentBlockStart":
                blocks[data["contentBlockIndex"]] = {"toolUse": data["start"]["toolUse"]}
            elif kind == "contentBlockDelta":
                _extend(blocks.setdefault(data["contentBlockIndex"], {}), data["delta"])
            elif kind == "messageStop":
                answer["stopReason"] = data["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    message = {"role": "assistant", "content": list(blocks.values())}
    return answer | {"output": {"message": message}}


def _extend(block, delta):
    if "toolUse" in delta:
        call = block["toolUse"]
        call["input"] = call.get("input", "") + delta["toolUse"]["input"]
    else:
        block["text"] = block.get("text", "") + delta["text"]
