#!/usr/bin/env python3
"""Writes engine/text/testdata/templates/*.json: what transformers renders from each template.

    python3 -m venv .venv && .venv/bin/pip install transformers tokenizers jinja2
    .venv/bin/python make_template_golden.py

`chats.json` holds the conversations with tools and further variables; `NAME.json` the prompt of each
by the template `NAME.jinja`: what it says where it raises an exception, and null where it fails
otherwise. Arguments of calls are objects, or text where only that is taken. Templates that read
nothing but parts get texts as one. Today is `NOW`.
"""

import copy
import datetime
import json
from pathlib import Path

import jinja2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

FOLDER = Path(__file__).parent.parent / "testdata" / "templates"
NOW = datetime.datetime(2031, 11, 7, 9, 5, 3)

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a \u201ccity\u201d: temp > 0 & 'wind'.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Where, as in K\u00f6ln"},
        "unit": {"type": "string", "description": "Of it.", "enum": ["c", "f"]},
        "days": {"type": "array", "description": "When.", "items": {"type": "integer"}}}, "required": ["city"]}}}
ADD = {"type": "function", "function": {
    "name": "add", "description": "Adds numbers.",
    "parameters": {"type": "object", "properties": {
        "a": {"type": "number", "description": "One."},
        "b": {"type": "number", "description": "Another.", "default": 1.5}},
        "required": ["a", "b"]}}}


def call(id, name, **arguments):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(text):
    return {"role": "user", "content": text}


def said(text, **more):
    return {"role": "assistant", "content": text, **more}


def result(id, name, text):
    return {"role": "tool", "tool_call_id": id, "name": name, "content": text}


SYSTEM = {"role": "system", "content": " Be brief.\n"}
KOELN = call("abcdefgh1", "get_weather", city="K\u00f6ln \"West\"", days=[1, 2])
SUM = call("abcdefgh2", "add", a=1, b=2.5)
ASKED = [SYSTEM, user("Weather?"), said("", tool_calls=[KOELN]),
         result("abcdefgh1", "get_weather", "{\"temp\": 21.5}")]
CHATS = {
    "plain": {"messages": [user("Hi")]},
    "turns": {"messages": [SYSTEM, user(" Was ist 2+2? \U0001f600"), said("4\n"), user("<b>Sure?</b>")]},
    "whole": {"messages": [user("a"), said(" b ")], "add_generation_prompt": False},
    "tools": {"messages": [user("Weather?")], "tools": [WEATHER, ADD]},
    "called": {"messages": ASKED, "tools": [WEATHER, ADD]},
    "called_twice": {"messages": [
        user("Both."), said("I look.", tool_calls=[KOELN, SUM]),
        result("abcdefgh1", "get_weather", "sunny"), result("abcdefgh2", "add", "3.5"),
        said("Done."), user("Thanks")], "tools": [WEATHER, ADD]},
    "null_content": {"messages": [user("Both."), said(None, tool_calls=[SUM]),
                                  result("abcdefgh2", "add", "3.5")], "tools": [ADD]},
    "thought": {"messages": [user("a"), said("b", reasoning_content="Hm.\n"), user("c")],
                "kwargs": {"enable_thinking": False}},
    "parts": {"messages": [user([{"type": "image"}, {"type": "text", "text": "What is it?"}]),
                           said("A cat."), user("Sure?")]},
    "documents": {"messages": [user("Who?")], "kwargs": {
        "documents": [{"title": "T", "text": "It was \u00e9lan."}, {"title": "U", "text": "No."}]}},
}
# They leave out what is no list of parts.
PARTS_ONLY = {"idefics3", "smolvlm"}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    chat_template_utils.datetime = Clock
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", pad_token="<pad>")
    write(FOLDER / "chats.json", CHATS)
    for path in sorted(FOLDER.glob("*.jinja")):
        chats = {name: as_parts(chat) if path.stem in PARTS_ONLY else chat
                 for name, chat in CHATS.items()}
        prompts = {name: render(tokenizer, path.read_text(), chat) for name, chat in chats.items()}
        failed = [name for name, prompt in prompts.items() if prompt is None]
        print(path.stem, "fails on" if failed else "", *failed)
        write(path.with_suffix(".json"), prompts)


def render(tokenizer, template, chat):
    """The prompt, or the template's own complaint."""
    for messages in [chat["messages"], with_text(chat["messages"])]:
        try:
            return tokenizer.apply_chat_template(
                messages, tools=chat.get("tools"), chat_template=template, tokenize=False,
                add_generation_prompt=chat.get("add_generation_prompt", True),
                **chat.get("kwargs", {}))
        except jinja2.exceptions.TemplateError as error:
            if type(error) is jinja2.exceptions.TemplateError:
                return {"raises": error.message}
            print(f"    {type(error).__name__}: {error}"[:150])
        except TypeError as error:
            print(f"    {type(error).__name__}: {error}"[:150])
    return None


def as_parts(chat):
    """The same with each text as a list of one part."""
    chat = copy.deepcopy(chat)
    for message in chat["messages"]:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]
    return chat


def with_text(messages):
    """The same with calls' arguments as JSON text."""
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls", []):
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = json.dumps(arguments, ensure_ascii=False)
    return messages


def write(path, value):
    """One line for each key."""
    dump = lambda part: json.dumps(part, ensure_ascii=True)
    path.write_text("{\n" + ",\n".join(f"{dump(k)}: {dump(v)}" for k, v in value.items()) + "\n}\n")


if __name__ == "__main__":
    main()
