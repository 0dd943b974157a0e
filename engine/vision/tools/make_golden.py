#!/usr/bin/env python3
"""Writes tiny random models that see, images, and what the models must answer, computed by
transformers and Pillow in F32 on a CPU.

    pip install torch==2.13.0 transformers==5.23.0 pillow==12.0.0 numpy
    engine/vision/tools/make_golden.py

Images go to testdata/images. Each model goes to testdata/NAME: a Hugging Face folder, and
golden.json:

    images: {NAME: {rows, cols, text}}, what the processor makes of each image; its pieces, before
        they are rescaled, are in IMAGE.tiles (a byte a channel, row by row, piece after piece)
    seen: {image, values: [f], states: [f], rows: [f]}: of one image the first piece's pixel values
        (channel by channel), the rows of all patches after the tower, and those of the connector
    prompts: [{messages, images: [NAME], tokens: [id], logits: [[f]]}]: of the last positions

Beside them positions.json: [{grid, learned, ids}], the rows of the table of positions.
"""
import json
import pathlib
import types

import numpy as np
import torch
import transformers as T
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionEmbeddings
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"
BORDER, MARK, WHOLE = "<fake_token_around_image>", "<image>", "<global-img>"
ROWS = [f"<row_{i + 1}_col_{j + 1}>" for i in range(6) for j in range(6)]
SPECIAL = ["<|im_start|>", "<end_of_utterance>", BORDER, MARK, WHOLE, *ROWS]
VOCAB_SIZE = 352
MERGED = "User: Assistant: the image shows what is in this picture and that one " * 4
# As HuggingFaceTB publishes it with SmolVLM.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")


def dump(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def floats(tensor):
    return [float(f"{x:.7g}") for x in tensor.flatten().tolist()]


# ------------------------------------------------------------------ images
def picture(width, height, seed, channels=3):
    """Waves and a little noise: no piece is like another."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [127 + 100 * np.sin(x / (3 + i) + i) * np.cos(y / (4 + i) - seed)
              + rng.normal(0, 12, (height, width)) for i in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def make_images():
    out = TESTDATA / "images"
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(61, 43, 1)).save(out / "photo.png")
    Image.fromarray(picture(17, 80, 2)).save(out / "tall.png")
    Image.fromarray(picture(9, 7, 3)).save(out / "small.png")
    Image.fromarray(picture(40, 40, 4, 4), "RGBA").save(out / "clear.png")
    Image.fromarray(picture(64, 2, 5)[..., 0]).save(out / "line.png")
    Image.fromarray(picture(50, 30, 6)).quantize(32).save(out / "palette.png")
    Image.fromarray(picture(24, 24, 7)).save(out / "square.webp", lossless=True)
    return ["photo.png", "tall.png", "small.png", "clear.png", "line.png", "palette.png",
            "square.webp"]


# ------------------------------------------------------------------ models
def tokenizer():
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE - len(SPECIAL) - 8,
                                  initial_alphabet=alphabet, show_progress=False)
    tokens.train_from_iterator([MERGED], trainer)
    tokens.add_special_tokens([AddedToken(one, special=True, normalized=False)
                               for one in SPECIAL])
    assert tokens.get_vocab_size() <= VOCAB_SIZE
    return T.PreTrainedTokenizerFast(
        tokenizer_object=tokens, bos_token="<|im_start|>", eos_token="<end_of_utterance>",
        chat_template=TEMPLATE, clean_up_tokenization_spaces=False)


def text_config(**other):
    return dict(model_type="llama", vocab_size=VOCAB_SIZE, hidden_size=48, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
                max_position_embeddings=512, initializer_range=0.15, pad_token_id=0,
                rms_norm_eps=1e-5) | other


def vision_config(**other):
    return dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
                patch_size=4, image_size=24, initializer_range=0.2) | other


def model_of(name, image_token):
    if name == "idefics3":
        # Pieces are smaller than what positions were learned with.
        return T.Idefics3ForConditionalGeneration(T.Idefics3Config(
            text_config=text_config(), vision_config=vision_config(image_size=28),
            scale_factor=3, image_token_id=image_token, attn_implementation="eager"))
    return T.SmolVLMForConditionalGeneration(T.SmolVLMConfig(
        text_config=text_config(head_dim=16, rope_theta=100000.0),
        vision_config=vision_config(hidden_act="gelu"), scale_factor=2,
        image_token_id=image_token, attn_implementation="eager"))


RULES = {
    "idefics3": dict(size={"longest_edge": 48}, max_image_size={"longest_edge": 24},
                     image_mean=[0.48, 0.45, 0.4], image_std=[0.27, 0.26, 0.28]),
    "smolvlm": dict(size={"longest_edge": 96}, max_image_size={"longest_edge": 24}),
    "smolvlm-whole": dict(size={"longest_edge": 96}, max_image_size={"longest_edge": 24},
                          do_image_splitting=False),
}


def randomise(model, dtype):
    """Norms and biases start as constants, which would hide mistakes; then rounds as stored."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.2)
            elif "position_embedding" in name:
                parameter.normal_(0, 0.5)
            parameter.copy_(parameter.to(dtype).float())


def expanded(name, rows, cols, seq_len):
    if name == "idefics3":
        this = types.SimpleNamespace(fake_image_token=BORDER, global_image_tag=WHOLE,
                                     image_token=MARK, image_seq_len=seq_len)
        found = {"rows": [[rows]], "cols": [[cols]]}
        return Idefics3Processor.replace_image_token(this, found, 0)
    return get_image_prompt_string(rows, cols, seq_len, fake_token_around_image=BORDER,
                                   image_token=MARK, global_image_token=WHOLE)


def asked(*parts):
    part = {False: lambda text: {"type": "text", "text": text}, True: lambda _: {"type": "image"}}
    return {"role": "user", "content": [part[one == MARK](one) for one in parts]}


PROMPTS = [
    (["photo.png"], [asked(MARK, "what is this?")]),
    (["photo.png", "clear.png"], [
        asked("the image", MARK, " shows what"), {"role": "assistant", "content": [
            {"type": "text", "text": "that one"}]}, asked("and in this: ", MARK)]),
    ([], [asked("what is in this?")]),
]


def write_model(name, images):
    torch.manual_seed(len(name))
    torch.set_num_threads(1)  # one order of summation
    out = TESTDATA / name
    out.mkdir(parents=True, exist_ok=True)
    tokens = tokenizer()
    dtype = torch.bfloat16
    model = model_of(name, tokens.convert_tokens_to_ids(MARK)).eval()
    randomise(model, dtype)
    processor = Idefics3ImageProcessorPil(**RULES[name])
    scale = model.config.scale_factor
    seq_len = (24 // 4) ** 2 // scale**2
    tokens.save_pretrained(out)
    processor.save_pretrained(out)
    if name == "idefics3":  # as newer versions write it: all in one file
        rules = json.loads((out / "preprocessor_config.json").read_text())
        dump(out / "processor_config.json", {"image_processor": rules, "image_seq_len": seq_len})
        (out / "preprocessor_config.json").unlink()
    pieces, told = {}, {}
    for image in images:
        opened = Image.open(TESTDATA / "images" / image)
        raw = processor([[opened]], do_rescale=False, do_normalize=False, do_pad=False,
                        return_row_col_info=True)
        rows, cols = raw["rows"][0][0], raw["cols"][0][0]
        tiles = np.stack([np.asarray(tile) for tile in raw["pixel_values"][0]])
        assert tiles.dtype == np.uint8, tiles.dtype
        tiles.transpose(0, 2, 3, 1).tofile(out / f"{image}.tiles")
        pieces[image] = torch.tensor(np.asarray(processor([[opened]])["pixel_values"]))[0].float()
        told[image] = dict(rows=rows, cols=cols, text=expanded(name, rows, cols, seq_len))
    with torch.no_grad():
        values = pieces["tall.png"]
        states = model.model.vision_model(pixel_values=values).last_hidden_state
        connected = model.model.connector(states)
        seen = dict(image="tall.png", values=floats(values[0]), states=floats(states),
                    rows=floats(connected))
        prompts = []
        for names, messages in PROMPTS:
            text = tokens.apply_chat_template(messages, add_generation_prompt=True,
                                              tokenize=False)
            for image in names:
                text = text.replace(MARK, "\0", 1).replace("\0", told[image]["text"].replace(
                    MARK, "\1"), 1)
            ids = tokens(text.replace("\1", MARK), add_special_tokens=False)["input_ids"]
            kwargs = {}
            if names:
                kwargs["pixel_values"] = torch.cat([pieces[one] for one in names])[None]
            logits = model(torch.tensor([ids]), use_cache=False, **kwargs).logits[0, -8:]
            prompts.append(dict(messages=messages, images=names, tokens=ids,
                                logits=[floats(row) for row in logits]))
    dump(out / "golden.json", dict(images=told, seen=seen, prompts=prompts))
    model.to(dtype).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)


def write_positions():
    found = []
    for grid, learned in [(26, 26), (32, 32), (27, 27), (14, 14), (6, 7), (7, 6), (24, 16), (1, 9)]:
        config = T.Idefics3VisionConfig(hidden_size=2, num_attention_heads=1, patch_size=2,
                                        image_size=2 * learned)
        embeddings = Idefics3VisionEmbeddings(config)
        with torch.no_grad():
            embeddings.patch_embedding.weight.zero_()
            embeddings.patch_embedding.bias.zero_()
            ids = torch.arange(learned**2, dtype=torch.float32)
            embeddings.position_embedding.weight.copy_(ids[:, None].expand(-1, 2))
            pixels = torch.zeros(1, 3, 2 * grid, 2 * grid)
            mask = torch.ones(1, grid, grid, dtype=torch.bool)
            rows = embeddings(pixels, mask)[0, :, 0]
        found.append(dict(grid=grid, learned=learned, ids=[int(one) for one in rows]))
    dump(TESTDATA / "positions.json", found)


if __name__ == "__main__":
    IMAGES = make_images()
    for NAME in RULES:
        write_model(NAME, IMAGES)
    write_positions()
