"""A model of earmark in one ONNX file: the graph, and its description and model card in the metadata."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnxruntime

from earmark.core.errors import EarmarkError, InputError

METADATA_KEY = "earmark"
FORMAT = 1


_KINDS = {"stream": "an encoder of words", "speaker": "a speaker encoder", "verifier": "a verifier"}
_CURES = {
    "stream": "give base, or an .onnx file of earmark export",
    "speaker": "name a speaker encoder",
    "verifier": "make one with recipes/models/make_verifier.py",
}


class EncoderError(InputError):
    """A file that is not an encoder of earmark."""


def shipped_file(name: str) -> Path:
    """Return the path of a model that ships with earmark."""
    return Path(str(files("earmark") / "models" / f"{name}.onnx"))


@cache
def shipped_name(fingerprint: str) -> str | None:
    """Return the name of the shipped model with this fingerprint; None for any other model."""
    paths = sorted(shipped_file("base").parent.glob("*.onnx"))
    return next((path.stem for path in paths if fingerprint_of(path.read_bytes()) == fingerprint), None)


def fingerprint_of(content: bytes) -> str:
    """Return 16 hexadecimal digits that identify a model file by its content."""
    return hashlib.sha256(content).hexdigest()[:16]


def open_model(
    path: Path, kind: str, shipped: Sequence[str] = ()
) -> tuple[onnxruntime.InferenceSession, dict[str, Any], str]:
    """Open a model file of earmark, and check that it has the required kind.

    Args:
        path: the .onnx file.
        kind: the required kind: `"stream"`, an encoder of streams, `"speaker"`, a speaker encoder, or `"verifier"`.
        shipped: names that can be given instead of a path, for messages.

    Returns:
        The session that runs the graph, the description, and the fingerprint of the file.

    Raises:
        EncoderError: the file is missing, is not a model of earmark, or has the other kind.
        EarmarkError: the model needs a newer earmark.
    """
    try:
        content = path.read_bytes()
    except OSError:
        choices = f"{' or '.join(shipped)}, or the path of an .onnx file"
        raise EncoderError(f"{path}: no such encoder; choose {choices}") from None
    if path.suffix == ".safetensors":
        raise EncoderError(f"{path}: a training checkpoint, not an encoder; convert it with earmark export")
    options = onnxruntime.SessionOptions()
    # A live stream consists of many small steps: threads cost more than they save.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen kinds, all direct children of Exception
        raise EncoderError(
            f"{path}: not an ONNX file that runs here ({str(error).splitlines()[0]}); export the encoder again"
        ) from None
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise EncoderError(f"{path}: an ONNX file, but not an encoder of earmark; make one with earmark export")
    try:
        description = json.loads(text)
        if description["format"] > FORMAT:
            raise EarmarkError(f"{path}: made for a newer earmark (format {description['format']}); update earmark")
        found = description.get("kind", "stream")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    if found != kind:
        cure = _CURES[kind]
        raise EncoderError(f"{path}: {_KINDS.get(found, 'another model')} where {_KINDS[kind]} is needed; {cure}")
    return session, description, fingerprint_of(content)


def damaged(path: Path, error: Exception) -> EncoderError:
    """Make the error for a model whose description has missing or wrong entries."""
    return EncoderError(f"{path}: the model description in the file is damaged ({error!r}); export the encoder again")
