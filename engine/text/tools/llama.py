"""llama.cpp's own tokenizer, by its shared library (build b11434 or one with the same `llama.h`)."""

import ctypes as c
import os


class ModelParams(c.Structure):
    """`struct llama_model_params`."""

    _fields_ = [
        ("devices", c.c_void_p), ("tensor_buft_overrides", c.c_void_p),
        ("n_gpu_layers", c.c_int32), ("split_mode", c.c_int), ("load_mode", c.c_int),
        ("lazy_mode", c.c_int), ("main_gpu", c.c_int32), ("tensor_split", c.c_void_p),
        ("progress_callback", c.c_void_p), ("progress_callback_user_data", c.c_void_p),
        ("kv_overrides", c.c_void_p), ("vocab_only", c.c_bool), ("check_tensors", c.c_bool),
        ("use_extra_bufts", c.c_bool), ("no_host", c.c_bool), ("no_alloc", c.c_bool),
        ("load_mtp", c.c_bool),
    ]


LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)


@LOG
def silent(level, text, _):
    if os.environ.get("LLAMA_LOG"):
        print(text.decode(), end="")


def library():
    lib = c.CDLL(os.environ["LIBLLAMA"])
    lib.llama_log_set(silent, None)
    lib.llama_backend_init()
    lib.llama_model_default_params.restype = ModelParams
    lib.llama_model_load_from_file.restype = c.c_void_p
    lib.llama_model_load_from_file.argtypes = [c.c_char_p, ModelParams]
    lib.llama_model_get_vocab.restype = c.c_void_p
    lib.llama_model_get_vocab.argtypes = [c.c_void_p]
    lib.llama_model_free.argtypes = [c.c_void_p]
    lib.llama_tokenize.argtypes = [c.c_void_p, c.c_char_p, c.c_int32, c.POINTER(c.c_int32),
                                   c.c_int32, c.c_bool, c.c_bool]
    lib.llama_vocab_n_tokens.argtypes = [c.c_void_p]
    lib.llama_vocab_is_eog.argtypes = [c.c_void_p, c.c_int32]
    lib.llama_vocab_is_eog.restype = c.c_bool
    lib.llama_detokenize.argtypes = [c.c_void_p, c.POINTER(c.c_int32), c.c_int32, c.c_char_p,
                                     c.c_int32, c.c_bool, c.c_bool]
    return lib


class Vocab:
    """The vocabulary of a GGUF file."""

    def __init__(self, path):
        self.lib = library()
        params = self.lib.llama_model_default_params()
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"{path} does not load"
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.llama_model_free(self.model)

    def encode(self, text, special=False):
        data = text.encode()
        ids = (c.c_int32 * (2 * len(data) + 16))()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), ids, len(ids), special, True)
        assert count >= 0, text
        return list(ids[:count])

    def decode(self, ids):
        out = c.create_string_buffer(64 * len(ids) + 16)
        given = (c.c_int32 * max(len(ids), 1))(*ids)
        size = self.lib.llama_detokenize(self.vocab, given, len(ids), out, len(out), False, True)
        assert size >= 0
        return out.raw[:size].decode(errors="replace")

    def ends(self):
        count = self.lib.llama_vocab_n_tokens(self.vocab)
        return [id for id in range(count) if self.lib.llama_vocab_is_eog(self.vocab, id)]
