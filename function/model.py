"""The bundle, checked and loaded: one onnxruntime session on one thread."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from math import isfinite
from pathlib import Path, PurePosixPath

from function import contract as contracts
from function import wordpiece as wordpieces
from function.cache import Cache
from function.contract import Contract
from function.decode import decode, probabilities
from function.ort import Api, OrtError, Session
from function.wordpiece import WordPiece
from timing import Span, startup, timed

MODEL = "onnx/model_quantized.onnx"
NEEDED = (MODEL, "contract.json", "vocab.txt")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
CACHED = 4_096  # answers remembered, about 6 MB for the 34 labels of the ingredients


class BundleError(ValueError):
    """A bundle with a file missing, truncated or altered: names the file and both hashes."""


class Model:
    """A loaded bundle. Safe to call from several threads. Raises BundleError where the graph and
    the contract do not belong together."""

    def __init__(
        self,
        contract: Contract,
        wordpiece: WordPiece,
        session: Session,
        fingerprint: str = "",
    ):
        if session.columns != len(contract.columns):
            raise BundleError(
                f"{MODEL}: found {session.columns} logit columns, expected one for each of the "
                f"{len(contract.columns)} labels of the contract"
            )
        if not set(session.inputs) <= set(INPUTS):
            raise BundleError(
                f"{MODEL}: found inputs {', '.join(session.inputs)}, expected {', '.join(INPUTS)}"
            )
        self.contract = contract
        self.wordpiece = wordpiece
        self.session = session
        self.fingerprint = fingerprint  # sha256 of the model file
        self.cache = Cache(CACHED)

    @property
    def id(self) -> str:
        """Name and version, such as `ingredients-1.0.0`."""
        return "-".join(filter(None, (self.contract.name, self.contract.version)))

    def run(self, ids: Sequence[int]) -> list[memoryview]:
        """Logits, T rows of float32 (L,), of one encoded text of T ids. Raises OrtError.

        One text at a time on purpose: dynamic quantization scales the activations of a whole
        tensor, so in a batch an answer would depend on its neighbours.
        """
        ones, zeros = [1] * len(ids), [0] * len(ids)
        return self.session.run(input_ids=ids, attention_mask=ones, token_type_ids=zeros)

    def infer(self, encoded: Sequence[Sequence[int]]) -> list[list[float]]:
        """The probabilities of each encoded text, from the cache where it is known."""
        found = []
        for ids in map(tuple, encoded):
            p = self.cache.get(ids)
            if p is None:
                p = probabilities(self.run(ids), self.contract)
                self.cache.put(ids, p)
            found.append(p)
        return found

    def answer(self, texts: Sequence[str], scores: bool = False) -> tuple[list[dict], dict]:
        """The answers to `texts`, and the ms each stage took: encode, infer, decode."""
        with Span("encode") as encode_span:
            encoded = [self.wordpiece.encode(text, self.contract) for text in texts]
        with Span("infer") as infer_span:
            found = self.infer(encoded)
        with Span("decode") as decode_span:
            answers = [
                {"text": text, **decode(p, self.contract, scores)}
                for text, p in zip(texts, found, strict=True)
            ]
        spans = (encode_span, infer_span, decode_span)
        return answers, {span.name: span.duration_ms for span in spans}


@timed("load")
def load(folder: str | Path) -> Model:
    """The bundle in `folder`, every file of its manifest checked, warmed up by one inference.

    Raises BundleError, ContractError or VocabularyError where something is wrong with it.
    """
    folder = Path(folder)
    startup.mark("function")
    name, content, fingerprint = verify(folder)
    startup.mark("bundle")
    wordpiece = wordpieces.load(folder / "vocab.txt")
    startup.mark("vocabulary")
    contract = contracts.load(folder / "contract.json", wordpiece.vocab)
    if contract.name != name:
        raise BundleError(
            f"{folder / 'contract.json'}: $.name: found {contract.name!r}, expected {name!r} "
            "as in the manifest"
        )
    startup.mark("contract")
    Api.get()
    startup.mark("onnxruntime")
    model = Model(contract, wordpiece, open_session(content), fingerprint)
    startup.mark("session")
    try:
        logits = model.run(wordpiece.encode("", contract))
    except OrtError as error:
        raise BundleError(f"{MODEL}: found a graph that does not run ({error})") from None
    if not all(isfinite(x) for row in logits for x in row):
        raise BundleError(f"{MODEL}: found logits that are no numbers, expected finite ones")
    startup.mark("warm-up")
    return model


def open_session(model: bytes) -> Session:
    """A session on one thread over the content of an ONNX file. Raises BundleError."""
    try:
        return Session(model)
    except OrtError as error:
        raise BundleError(f"{MODEL}: found what onnxruntime cannot open ({error})") from None


def size(folder: str | Path) -> int:
    """How many bytes the files of the bundle are to have, by its manifest. Raises BundleError."""
    return sum(size for _, size in _manifest(Path(folder))[1].values())


def verify(folder: Path) -> tuple[str, bytes, str]:
    """Check every file of the manifest. Returns the bundle's name, the model's bytes and hash."""
    name, files = _manifest(folder)
    model = b""
    for path, (sha256, size) in files.items():
        content = _read(folder / path, sha256, size, keep=path == MODEL)
        model = content or model
    return name, model, files[MODEL][0]


def _manifest(folder: Path) -> tuple[str, dict[str, tuple[str, int]]]:
    """The bundle's name, and sha256 and size of each of its files. Raises BundleError."""
    at = folder / "manifest.json"
    try:
        manifest = json.loads(at.read_text("utf-8"))
        schema, name = manifest["schema"], manifest["name"]
        entries = manifest["files"].items()
        files = {path: (entry["sha256"], entry["size"]) for path, entry in entries}
    except FileNotFoundError:
        raise BundleError(f"{at}: found no file, expected the manifest of a bundle") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{at}: found no readable manifest ({error!r})") from None
    if schema != 1:
        raise BundleError(f"{at}: $.schema: found {schema!r}, expected 1")
    for path in NEEDED:
        if path not in files:
            raise BundleError(f"{at}: $.files: found no {path!r}, expected its hash")
    for path, (_, size) in files.items():
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts or "\0" in path:
            raise BundleError(f"{at}: $.files: found {path!r}, expected a path inside the bundle")
        if type(size) is not int or size < 0:
            raise BundleError(f"{at}: $.files: found size {size!r} of {path!r}, expected bytes")
    return name, files


def _read(path: Path, sha256: str, size: int, keep: bool) -> bytes:
    """The file's content if it is to `keep` and of that size. Raises BundleError."""
    expected, content = f"sha256 {sha256} of {size} bytes", b""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            if keep and length == size:  # another may be of any size
                content = file.read()
                digest = hashlib.sha256(content)
            else:
                digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise BundleError(
            f"{path}: found no readable file ({error.strerror}), no sha256, expected {expected}"
        ) from None
    except MemoryError:
        raise BundleError(f"{path}: found {size} bytes, expected what fits in memory") from None
    found = digest.hexdigest()
    if (found, length) != (sha256, size):
        raise BundleError(f"{path}: found sha256 {found} of {length} bytes, expected {expected}")
    return content
