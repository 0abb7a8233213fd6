"""The bundle, checked and loaded: one onnxruntime session on one thread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from function import contract as contracts
from function import wordpiece as wordpieces
from function.cache import Cache
from function.contract import Contract
from function.decode import decode, probabilities
from function.wordpiece import WordPiece
from timing import startup, timed

# Last and one by one, because these two are most of a cold start.
startup.mark("function")
import numpy as np  # noqa: E402

startup.mark("numpy")
import onnxruntime  # noqa: E402

startup.mark("onnxruntime")

MODEL = "onnx/model_quantized.onnx"
NEEDED = (MODEL, "contract.json", "vocab.txt")
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
        session: onnxruntime.InferenceSession,
        fingerprint: str = "",
    ):
        columns = session.get_outputs()[0].shape[-1]
        if columns != len(contract.columns):
            raise BundleError(
                f"{MODEL}: found {columns} logit columns, expected one for each of the "
                f"{len(contract.columns)} labels of the contract"
            )
        self.contract = contract
        self.wordpiece = wordpiece
        self.session = session
        self.fingerprint = fingerprint  # sha256 of the model file
        self.cache = Cache(CACHED)
        self._typed = any(given.name == "token_type_ids" for given in session.get_inputs())

    @property
    def id(self) -> str:
        """Name and version, such as `ingredients-1.0.0`."""
        return "-".join(filter(None, (self.contract.name, self.contract.version)))

    def run(self, ids: Sequence[int]) -> np.ndarray:
        """Logits, float32 (T, L), of one encoded text of T ids.

        One text at a time on purpose: dynamic quantization scales the activations of a whole
        tensor, so in a batch an answer would depend on its neighbours.
        """
        input_ids = np.array([ids], np.int64)
        given = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        if self._typed:
            given["token_type_ids"] = np.zeros_like(input_ids)
        return self.session.run(None, given)[0][0]

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
        with timed("encode") as encode_span:
            encoded = [self.wordpiece.encode(text, self.contract) for text in texts]
        with timed("infer") as infer_span:
            found = self.infer(encoded)
        with timed("decode") as decode_span:
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
    model = Model(contract, wordpiece, open_session(content), fingerprint)
    startup.mark("session")
    try:
        logits = model.run(wordpiece.encode("", contract))
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise BundleError(f"{MODEL}: found a graph that does not run ({_line(error)})") from None
    if not np.isfinite(logits).all():
        raise BundleError(f"{MODEL}: found logits that are no numbers, expected finite ones")
    startup.mark("warm-up")
    return model


def open_session(model: str | bytes) -> onnxruntime.InferenceSession:
    """A session on one thread over an ONNX file or its content. Raises BundleError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads would burn the CPU that Cloud Run bills; export optimised the graph already.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(f"{MODEL}: found what onnxruntime cannot open ({_line(error)})") from None


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def verify(folder: Path) -> tuple[str, bytes, str]:
    """Check every file of the manifest. Returns the bundle's name, the model's bytes and hash."""
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
    model = b""
    for path, (sha256, size) in files.items():
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts or "\0" in path:
            raise BundleError(f"{at}: $.files: found {path!r}, expected a path inside the bundle")
        content = _read(folder / path, sha256, size)
        if path == MODEL:
            model = content
    return name, model, files[MODEL][0]


def _read(path: Path, sha256: str, size: int) -> bytes:
    expected = f"sha256 {sha256} of {size} bytes"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path}: found no readable file ({error.strerror}), no sha256, expected {expected}"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if (found, len(content)) != (sha256, size):
        raise BundleError(
            f"{path}: found sha256 {found} of {len(content)} bytes, expected {expected}"
        )
    return content
