"""loomlib.py - libloom.so's tokenizers by ctypes, for tests and benchmarks in Python."""
import ctypes
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parent.parent


# A process begins as a copy of the one that starts it, whose memory counts as its own: a small one stands in between.
_WATCH = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(status, usage.ru_maxrss / 1024)
"""


def peak_memory(command, **options):
    """Runs a command to its end; the most memory that it held, in MiB."""
    run = subprocess.run([sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, text=True, **options)
    status, memory = run.stdout.split()
    if status != "0":
        raise RuntimeError(f"{command[0]} failed")
    return float(memory)


class _Error(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 1024)]


class _Options(ctypes.Structure):
    _fields_ = [
        ("all_special", ctypes.c_bool),
        ("special", ctypes.POINTER(ctypes.c_char_p)),
        ("n_special", ctypes.c_size_t),
        ("threads", ctypes.c_int),
    ]


class _Train(ctypes.Structure):
    _fields_ = [
        ("inputs", ctypes.POINTER(ctypes.c_char_p)),
        ("n_inputs", ctypes.c_size_t),
        ("format", ctypes.c_char_p),
        ("column", ctypes.c_char_p),
        ("out", ctypes.c_char_p),
        ("vocab_size", ctypes.c_int),
        ("special", ctypes.c_void_p),
        ("n_special", ctypes.c_size_t),
        ("threads", ctypes.c_int),
        ("stop", ctypes.c_void_p),
        ("on_progress", ctypes.c_void_p),
        ("user", ctypes.c_void_p),
    ]


class LoomError(Exception):
    pass


class Library:
    def __init__(self, path=None):
        self.lib = ctypes.CDLL(str(path or _ROOT / "build" / "libloom.so"))
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [ctypes.c_void_p]
        self.lib.loom_tokenizer_token.restype = ctypes.c_void_p

    def call(self, name, *arguments):
        error = _Error()
        if getattr(self.lib, name)(*arguments, ctypes.byref(error)) != 0:
            raise LoomError(error.text.decode("utf-8", "replace"))

    def train(self, files, out, vocab_size, threads=0):
        """Trains a tokenizer on these files and writes it to `out`."""
        inputs = (ctypes.c_char_p * len(files))(*[str(file).encode() for file in files])
        options = _Train(inputs, len(files), out=str(out).encode(), vocab_size=vocab_size, threads=threads)
        self.call("loom_tokenizer_train", ctypes.byref(options), ctypes.create_string_buffer(64))

    def save(self, tokenizer, folder):
        self.call("loom_tokenizer_save", tokenizer.handle, str(folder).encode())


class Tokenizer:
    def __init__(self, library, path):
        self.library, self.handle = library, ctypes.c_void_p()
        library.call("loom_tokenizer_open", str(path).encode(), ctypes.byref(self.handle))

    def __del__(self):
        self.library.lib.loom_tokenizer_free(self.handle)

    @property
    def vocab_size(self):
        return self.library.lib.loom_tokenizer_vocab_size(self.handle)

    def encode_raw(self, data, threads=1, all_special=False):
        """The ids' address, which free() takes back, and their number."""
        options = _Options(all_special, None, 0, threads)
        ids, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
        self.library.call(
            "loom_tokenizer_encode_with", self.handle, data, ctypes.c_size_t(len(data)), ctypes.byref(options),
            ctypes.byref(ids), ctypes.byref(count),
        )  # fmt: skip
        return ids, count.value

    def encode(self, text, threads=1, all_special=False):
        data = text.encode() if isinstance(text, str) else text
        ids, count = self.encode_raw(data, threads, all_special)
        result = ids[:count]
        self.library.libc.free(ids)
        return result

    def token(self, number):
        size = ctypes.c_size_t()
        address = self.library.lib.loom_tokenizer_token(self.handle, number, ctypes.byref(size))
        return ctypes.string_at(address, size.value) if address else None

    def decode_bytes(self, ids):
        return b"".join(self.token(number) for number in ids)
