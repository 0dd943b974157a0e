#!/usr/bin/env python3
"""Writes tiny random Whispers, and what they must answer, computed by transformers in F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0
    engine/speech/tools/make_golden.py

Each goes to testdata/NAME: a Hugging Face folder without a tokenizer, and golden.json:

    mel: {num_samples, every, frames}     every so many frames of the features of a recording, by
        the extractor's NumPy, which computes in F64: its PyTorch, in F32, is off by up to 1.5e-5
    encoder: {every, rows}                 every so many rows of the encoder, of the first window
    logits: {tokens, rows: {place: [f]}}   of the decoder, at some places
    language: the mark of the likeliest one
    recordings: [{num_samples, language, task, prompt, condition,
        segments: [[start, end, tokens, ends]], first: {avg_logprob, no_speech_prob}}]
        what `generate` says, window after window, and when each token ends

The recordings are made alike here and in the tests, of whole numbers (`sound`).
"""
import json
import pathlib

import torch
import transformers as T
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"
SECONDS, POSITIONS = 2, 100
END, START, EN, DE, FR, TRANSLATE, TRANSCRIBE, LM, PREVIOUS, NO_SPEECH, NO_TIMES = range(120, 131)
VOCAB = NO_TIMES + 1 + POSITIONS + 1
LANGUAGES = {"<|en|>": EN, "<|de|>": DE, "<|fr|>": FR}


def sound(num_samples):
    """Noise and a square wave, louder and softer by turns."""
    state, samples = 1, []
    for i in range(num_samples):
        state = (state * 1103515245 + 12345) % 2**31
        block = i // 2000
        noise = ((state >> 16) % 2048 - 1024) * (block * 5 % 7)
        period = block * 7 % 50 + 10
        square = (800 if i % period * 2 < period else -800) * (block * 3 % 5)
        samples.append((noise + square) / 32768)
    return torch.tensor(samples, dtype=torch.float32)


def model_of(config, dtype, multilingual):
    torch.manual_seed(7)
    model = T.WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_norm" in name and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif "conv" in name:
                parameter.normal_(0, 0.15)
            elif "embed_positions" in name and "encoder" in name:
                continue
            elif "embed_tokens" in name:
                parameter.normal_(0, 0.5)
            elif "embed_positions" in name:
                parameter.normal_(0, 0.5)
            else:
                parameter.normal_(0, 0.25)
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
    generation = dict(
        decoder_start_token_id=START, eos_token_id=END, bos_token_id=END, pad_token_id=END,
        no_timestamps_token_id=NO_TIMES, prev_sot_token_id=PREVIOUS, max_initial_timestamp_index=20,
        max_length=config.max_target_positions, is_multilingual=multilingual,
        suppress_tokens=[3, 17, START, EN, DE, FR, TRANSLATE, TRANSCRIBE, LM, PREVIOUS, NO_SPEECH],
        begin_suppress_tokens=[5, END])
    if multilingual:
        generation |= dict(lang_to_id=LANGUAGES, alignment_heads=[[1, 2], [0, 1], [1, 0]],
                           task_to_id={"transcribe": TRANSCRIBE, "translate": TRANSLATE})
    model.generation_config = T.GenerationConfig(**generation)
    return model


def first_window(model, features, prefix, tokens):
    """The mean log-probability of what was said in the first window, and that of silence."""
    config = model.generation_config
    with torch.no_grad():
        logits = model(input_features=features,
                       decoder_input_ids=torch.tensor([prefix + tokens])).logits[0]
    begin = len(prefix)
    processors = [SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, begin),
                  SuppressTokensLogitsProcessor(config.suppress_tokens),
                  WhisperTimeStampLogitsProcessor(config, begin)]
    total = 0.0
    for place, token in enumerate(tokens):
        ids, scores = torch.tensor([prefix + tokens[:place]]), logits[None, begin + place - 1]
        for processor in processors:
            scores = processor(ids, scores.clone())
        total += torch.log_softmax(scores[0], -1)[token].item()
    silence = torch.softmax(logits[prefix.index(START)], -1)[NO_SPEECH].item()
    return dict(avg_logprob=total / len(tokens), no_speech_prob=silence)


def token_ends(model, features, tokens, **options):
    """When each token of each segment ends, in seconds."""
    config = model.generation_config
    named = getattr(config, "alignment_heads", None)
    if named is None:
        # As openai-whisper: every head of the last half of the layers.
        layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
        config.alignment_heads = [[l, h] for l in range(layers // 2, layers) for h in range(heads)]
    # What else computes attention gives no weights.
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model.generate(features.input_features, attention_mask=features.attention_mask,
                             return_timestamps=True, return_segments=True, num_beams=1,
                             return_token_timestamps=True, do_sample=False, **options)
    model.set_attn_implementation(before)
    if named is None:
        del config.alignment_heads
    assert [segment["tokens"].tolist() for segment in out["segments"][0]] == tokens
    return [segment["token_timestamps"].tolist() for segment in out["segments"][0]]


def recording(model, extractor, num_samples, language, task, prompt, condition):
    samples = sound(num_samples).numpy()
    is_short = num_samples <= SECONDS * 16000
    features = extractor(samples, sampling_rate=16000, return_tensors="pt", truncation=is_short,
                         padding="max_length" if is_short else "longest",
                         return_attention_mask=True)
    options = dict(language=language, task=task) if language else {}
    if prompt:
        options |= dict(prompt_ids=torch.tensor([PREVIOUS] + prompt),
                        prompt_condition_type="first-segment")
    with torch.no_grad():
        out = model.generate(features.input_features, attention_mask=features.attention_mask,
                             return_timestamps=True, return_segments=True, num_beams=1,
                             do_sample=False, condition_on_prev_tokens=condition, **options)
    ends = token_ends(model, features, [s["tokens"].tolist() for s in out["segments"][0]],
                      condition_on_prev_tokens=condition, **options)
    segments = []
    for segment, ends in zip(out["segments"][0], ends):
        tokens = segment["tokens"].tolist()
        # transformers leaves the second time of a window's last pair in the segment before it.
        if len(tokens) > 2 and tokens[-1] > NO_TIMES and tokens[-2] > NO_TIMES:
            tokens = tokens[:-1]
        segments.append([float(segment["start"]), float(segment["end"]), tokens,
                         ends[:len(tokens)]])
    marks = [dict(en=EN, de=DE, fr=FR)[language], dict(transcribe=TRANSCRIBE,
             translate=TRANSLATE)[task]] if language else []
    prefix = ([PREVIOUS] + prompt if prompt else []) + [START] + marks
    first = out["segments"][0][0]["result"]
    whole = (first if torch.is_tensor(first) else first["sequences"]).tolist()
    whole = whole[len(prefix):] if whole[:len(prefix)] == prefix else whole
    while whole[-1] == END and whole[-2] == END:
        whole.pop()
    window = features.input_features[..., :2 * POSITIONS]
    return dict(num_samples=num_samples, language=language, task=task, prompt=prompt,
                condition=condition, segments=segments,
                first=first_window(model, window, prefix, whole))


def mel_of(extractor, samples):
    """Features of a recording with silence up to a window's length: `[frame, mel]`."""
    padded = torch.nn.functional.pad(torch.tensor(samples), (0, SECONDS * 16000 - len(samples)))
    features = extractor._np_extract_fbank_features(padded[None].numpy(), "cpu")
    return torch.tensor(features[0].T).double()


def write(name, dtype, num_mels, multilingual, recordings, **more):
    config = T.WhisperConfig(
        vocab_size=VOCAB, num_mel_bins=num_mels, d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=40, max_source_positions=POSITIONS, max_target_positions=64,
        decoder_start_token_id=START, eos_token_id=END, bos_token_id=END, pad_token_id=END,
        suppress_tokens=None, begin_suppress_tokens=None, **more)
    model = model_of(config, dtype, multilingual)
    folder = TESTDATA / name
    model.to(dtype).save_pretrained(folder)
    model.float()
    extractor = T.WhisperFeatureExtractor(feature_size=num_mels, chunk_length=SECONDS)
    extractor.save_pretrained(folder)
    num_samples = 29_000
    features = extractor(sound(num_samples).numpy(), sampling_rate=16000, return_tensors="pt")
    features = features.input_features
    mel = mel_of(extractor, sound(num_samples).numpy())
    assert (mel - features[0].T.double()).abs().max() < 2e-5
    tokens = [START, 1, 50, 99, NO_TIMES, 140, 7, 7, 119, 30]
    with torch.no_grad():
        rows = model.model.encoder(features).last_hidden_state[0]
        logits = model(input_features=features, decoder_input_ids=torch.tensor([tokens])).logits[0]
        at_start = model(input_features=features,
                         decoder_input_ids=torch.tensor([[START]])).logits[0, 0]
    golden = dict(
        mel=dict(num_samples=num_samples, every=13, frames=mel[::13].tolist()),
        encoder=dict(every=11, rows=rows[::11].tolist()),
        logits=dict(tokens=tokens, rows={place: logits[place].tolist() for place in (0, 4, 9)}),
        language=max(LANGUAGES.values(), key=lambda mark: at_start[mark].item()),
        recordings=[recording(model, extractor, *asked) for asked in recordings])
    (folder / "golden.json").write_text(json.dumps(rounded(golden)))


def rounded(value):
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    write("multilingual", torch.bfloat16, 80, True, [
        (32_000, "en", "transcribe", [], False),
        (32_000, "de", "translate", [], False),
        (84_800, "en", "transcribe", [], False),
        (84_800, "fr", "transcribe", [], True),
        (84_800, "de", "transcribe", [11, 12, 13, 14], True),
    ])
    write("english", torch.float32, 128, False, [
        (32_000, None, None, [], False),
        (112_000, None, None, [], True),
    ], activation_function="relu")
