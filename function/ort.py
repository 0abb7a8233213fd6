"""onnxruntime by its C API: its Python module and the numpy it needs are half of a cold start.

The wheel carries the shared library beside the module. Its functions stand in a table that only
ever grows at its end (onnxruntime_c_api.h), so their places hold for later versions too.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path

VERSION = 5  # of the API, the first that has all of this
LIBRARY = {"linux": "libonnxruntime.so*", "darwin": "libonnxruntime*.dylib"}
# Place in the table and arguments of what returns a status, null where all went well.
FUNCTIONS: dict[str, tuple] = {
    "CreateEnv": (3, c_int, c_char_p, c_void_p),
    "DisableTelemetryEvents": (6, c_void_p),
    "CreateSessionFromArray": (8, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p),
    "Run": (9, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p),
    "CreateSessionOptions": (10, c_void_p),
    "SetSessionGraphOptimizationLevel": (23, c_void_p, c_int),
    "SetIntraOpNumThreads": (24, c_void_p, c_int),
    "SetInterOpNumThreads": (25, c_void_p, c_int),
    "SessionGetInputCount": (30, c_void_p, c_void_p),
    "SessionGetOutputTypeInfo": (34, c_void_p, c_size_t, c_void_p),
    "SessionGetInputName": (36, c_void_p, c_size_t, c_void_p, c_void_p),
    "SessionGetOutputName": (37, c_void_p, c_size_t, c_void_p, c_void_p),
    "CreateTensorWithDataAsOrtValue":
        (49, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int, c_void_p),
    "GetTensorMutableData": (51, c_void_p, c_void_p),
    "CastTypeInfoToTensorInfo": (55, c_void_p, c_void_p),
    "GetTensorElementType": (60, c_void_p, c_void_p),
    "GetDimensionsCount": (61, c_void_p, c_void_p),
    "GetDimensions": (62, c_void_p, c_void_p, c_size_t),
    "GetTensorShapeElementCount": (64, c_void_p, c_void_p),
    "GetTensorTypeAndShape": (65, c_void_p, c_void_p),
    "CreateCpuMemoryInfo": (69, c_int, c_int, c_void_p),
    "GetAllocatorWithDefaultOptions": (78, c_void_p),
    "AddSessionConfigEntry": (130, c_void_p, c_char_p, c_char_p),
}  # fmt: skip
GET_ERROR_MESSAGE = 2
# What frees what a function made; it returns nothing.
RELEASES = {"Status": 93, "Session": 95, "Value": 96, "TypeInfo": 98, "TensorTypeAndShapeInfo": 99,
            "SessionOptions": 100}  # fmt: skip
ERROR = 3  # log severity from which on onnxruntime writes to standard error
FLOAT, INT64 = 1, 7  # element types of a tensor


class OrtError(ValueError):
    """What onnxruntime refused, in its own words, in one line."""


class Session:
    """A graph on one thread. Safe to call from several threads; its memory is freed with it.

    `inputs` are the names of its inputs, `columns` the width of its first output, which must be
    float32 of a known width. Raises OrtError where that or the content of the file is not right.
    """

    def __init__(self, model: bytes):
        api = self._api = Api.get()
        options = api.out("CreateSessionOptions")
        try:
            api.call("SetIntraOpNumThreads", options, 1)
            api.call("SetInterOpNumThreads", options, 1)
            # Spinning threads would burn the CPU that Cloud Run bills; export optimised the graph.
            api.call("AddSessionConfigEntry", options, b"session.intra_op.allow_spinning", b"0")
            api.call("SetSessionGraphOptimizationLevel", options, 0)
            self._handle = api.out("CreateSessionFromArray", api.env, model, len(model), options)
        finally:
            api.release("SessionOptions", options)
        # At the end of the process its memory goes anyway.
        weakref.finalize(self, api.release, "Session", self._handle).atexit = False
        count = c_size_t()
        api.call("SessionGetInputCount", self._handle, byref(count))
        self.inputs = tuple(self._name("SessionGetInputName", n) for n in range(count.value))
        self._input_names = (c_char_p * count.value)(*map(str.encode, self.inputs))
        self._output_names = (c_char_p * 1)(self._name("SessionGetOutputName", 0).encode())
        self.columns = self._columns()

    def _name(self, function: str, number: int) -> str:
        # Its few bytes are not handed back: that would take one more function.
        name = self._api.out(function, self._handle, number, self._api.allocator)
        return ctypes.string_at(name).decode()

    def _columns(self) -> int:
        api, element, count = self._api, c_int(), c_size_t()
        kind = api.out("SessionGetOutputTypeInfo", self._handle, 0)
        try:
            tensor = api.out("CastTypeInfoToTensorInfo", kind)
            if tensor:  # or else it is a sequence or a map
                api.call("GetTensorElementType", tensor, byref(element))
                api.call("GetDimensionsCount", tensor, byref(count))
            shape = (c_int64 * count.value)()
            if tensor:
                api.call("GetDimensions", tensor, shape, count)
        finally:
            api.release("TypeInfo", kind)
        if element.value != FLOAT or not count or shape[-1] < 1:
            raise OrtError("found an output of another kind, expected float32 of a known width")
        return shape[-1]

    def run(self, **given: Sequence[int]) -> list[memoryview]:
        """The rows of the first output, T of float32 (L,), for a T of integers by input.

        Raises OrtError where the graph cannot be run on them, or gives another number of rows.
        """
        api, values = self._api, []
        try:
            for name in self.inputs:
                length = len(given[name])
                # A batch of one; `content` must live until the graph has run.
                content, shape = (c_int64 * length)(*given[name]), (c_int64 * 2)(1, length)
                value = api.out("CreateTensorWithDataAsOrtValue", api.memory, content, 8 * length,
                                shape, 2, INT64)  # fmt: skip
                values.append((value, content))
            inputs = (c_void_p * len(values))(*(value.value for value, _ in values))
            output = (c_void_p * 1)()
            api.call("Run", self._handle, None, self._input_names, inputs, len(values),
                     self._output_names, 1, output)  # fmt: skip
            try:
                rows = memoryview(self._copied(output[0], length * self.columns)).cast("f")
            finally:
                api.release("Value", output[0])
        finally:
            for value, _ in values:
                api.release("Value", value)
        return [rows[n : n + self.columns] for n in range(0, len(rows), self.columns)]

    def _copied(self, value: int, expected: int) -> bytes:
        """The content of a tensor, if of `expected` float32: what lies behind it is not its own."""
        api, found = self._api, c_size_t()
        shape = api.out("GetTensorTypeAndShape", value)
        try:
            api.call("GetTensorShapeElementCount", shape, byref(found))
        finally:
            api.release("TensorTypeAndShapeInfo", shape)
        if found.value != expected:
            raise OrtError(f"found {found.value} logits, expected {expected}")
        return ctypes.string_at(api.out("GetTensorMutableData", value), 4 * expected)


class Api:
    """The table of functions, and what all sessions of a process share."""

    @staticmethod
    @cache
    def get() -> Api:
        """The one of this process. Raises OrtError where there is no library."""
        return Api(_library())

    def __init__(self, library: Path):
        class Base(ctypes.Structure):
            _fields_ = [("get_api", ctypes.CFUNCTYPE(c_void_p, c_uint32)), ("version", c_void_p)]

        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as error:
            raise OrtError(f"{library}: found no library that can be loaded ({error})") from None
        loaded.OrtGetApiBase.restype = ctypes.POINTER(Base)
        table = ctypes.cast(loaded.OrtGetApiBase().contents.get_api(VERSION),
                            ctypes.POINTER(c_void_p))  # fmt: skip
        self._functions: dict[str, Callable] = {
            name: ctypes.CFUNCTYPE(c_void_p, *arguments)(table[place])
            for name, (place, *arguments) in FUNCTIONS.items()
        }
        self._message = ctypes.CFUNCTYPE(c_char_p, c_void_p)(table[GET_ERROR_MESSAGE])
        self._releases = {
            kind: ctypes.CFUNCTYPE(None, c_void_p)(table[place]) for kind, place in RELEASES.items()
        }
        self.env = self.out("CreateEnv", ERROR, b"function")
        self.call("DisableTelemetryEvents", self.env)
        self.allocator = self.out("GetAllocatorWithDefaultOptions")
        self.memory = self.out("CreateCpuMemoryInfo", 0, 0)  # of any allocator, of the default kind

    def call(self, name: str, *arguments) -> None:
        """Raises OrtError."""
        status = self._functions[name](*arguments)
        if status:
            message = self._message(status).decode("utf-8", "replace").strip()
            self.release("Status", status)
            raise OrtError((message.splitlines() or [f"{name} failed"])[0])

    def out(self, name: str, *arguments) -> c_void_p:
        """The pointer that the function writes where its last argument points. Raises OrtError."""
        pointer = c_void_p()
        self.call(name, *arguments, byref(pointer))
        return pointer

    def release(self, kind: str, pointer) -> None:
        self._releases[kind](pointer)


def _library() -> Path:
    """The shared library in the wheel, found without importing the module."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise OrtError("found no onnxruntime, expected `pip install -r function/requirements.txt`")
    folder = Path(spec.origin).parent / "capi"
    found = sorted(folder.glob(LIBRARY.get(sys.platform, "onnxruntime.dll")))
    if not found:
        raise OrtError(f"{folder}: found no library of onnxruntime, expected that of its wheel")
    return found[0]
