"""A model of ours in one ONNX file: the graph, and in its metadata what it is and its card."""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnxruntime

from earmark.core.errors import EarmarkError, InputError

METADATA_KEY = "earmark"
FORMAT = 1


class EncoderError(InputError):
    """A file that is no encoder of ours. The message names the file and the cure."""


def shipped_file(name: str) -> Path:
    """Where a model that comes with earmark lies."""
    return Path(str(files("earmark") / "models" / f"{name}.onnx"))


def open_model(
    path: Path, kind: str, shipped: Sequence[str] = ()
) -> tuple[onnxruntime.InferenceSession, dict[str, Any], str]:
    """Open a model.

    Args:
        path: the .onnx file.
        kind: what it must be: `"stream"`, an encoder of streams, or `"speaker"`, one of voices.
        shipped: names that could have been given instead of a path, for the message.

    Returns:
        What runs the graph, the description, and the fingerprint of the file.

    Raises:
        EncoderError: no such file, or not a model of ours, or one of the other kind.
        EarmarkError: a newer earmark made it.
    """
    try:
        content = path.read_bytes()
    except OSError:
        choices = f"{' or '.join(shipped)}, or the path of an .onnx file"
        raise EncoderError(f"{path}: no such encoder; choose {choices}") from None
    if path.suffix == ".safetensors":
        raise EncoderError(f"{path}: a checkpoint of training; earmark export makes an encoder of it")
    options = onnxruntime.SessionOptions()
    # A live stream is many small steps: threads would cost more than they bring.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen kinds, all direct children of Exception
        raise EncoderError(f"{path}: not an ONNX file that runs here ({str(error).splitlines()[0]})") from None
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise EncoderError(f"{path}: an ONNX file, but no encoder of ours; make one with earmark export")
    try:
        description = json.loads(text)
        if description["format"] > FORMAT:
            raise EarmarkError(f"{path}: made for a newer earmark (format {description['format']}); update earmark")
        found = description.get("kind", "stream")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
    match found, kind:
        case "speaker", "stream":
            raise EncoderError(f"{path}: tells voices apart and hears no words; give it as --speaker-encoder")
        case "stream", "speaker":
            raise EncoderError(f"{path}: hears words and tells no voices apart; give it as --encoder")
    return session, description, hashlib.sha256(content).hexdigest()[:16]


def damaged(path: Path, error: Exception) -> EncoderError:
    """What to raise when the description lacks something."""
    return EncoderError(f"{path}: its description is damaged ({error!r}); export it anew")
