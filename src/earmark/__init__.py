"""Say a word a few times; find it again anywhere.

```python
import earmark

keyword = earmark.enroll("jarvis", [earmark.core.audio.read(path) for path in paths])
detector = earmark.Detector([keyword])
for detection in detector.push(chunk):
    print(detection.keyword, detection.start_s, detection.probability)
```
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from earmark.core.errors import EarmarkError, InputError

if TYPE_CHECKING:
    from earmark import audio
    from earmark.models.encoder import Encoder, load_encoder
    from earmark.models.speaker_encoder import SpeakerEncoder, load_speaker_encoder
    from earmark.spotting.detector import Detection, Detector, DetectorSettings
    from earmark.spotting.enrollment import enroll, extend, reembed
    from earmark.spotting.keyword import Keyword
    from earmark.spotting.speaker import Speaker, Verdict, enroll_speaker, extend_speaker, reembed_speaker, verify
    from earmark.spotting.takes import Take, TakeWarning
    from earmark.store.store import KeywordStore

# Offline means offline: onnxruntime reports home unless this is set before it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "Detection",
    "Detector",
    "DetectorSettings",
    "EarmarkError",
    "Encoder",
    "InputError",
    "Keyword",
    "KeywordStore",
    "Speaker",
    "SpeakerEncoder",
    "Take",
    "TakeWarning",
    "Verdict",
    "__version__",
    "audio",
    "enroll",
    "enroll_speaker",
    "extend",
    "extend_speaker",
    "load_encoder",
    "load_speaker_encoder",
    "reembed",
    "reembed_speaker",
    "verify",
]

# Each name's module is imported when the name is first used: onnxruntime and its kin would make `earmark --help`
# three times as slow.
_HOMES = {
    "Detection": "earmark.spotting.detector",
    "Detector": "earmark.spotting.detector",
    "DetectorSettings": "earmark.spotting.detector",
    "Encoder": "earmark.models.encoder",
    "Keyword": "earmark.spotting.keyword",
    "KeywordStore": "earmark.store.store",
    "Speaker": "earmark.spotting.speaker",
    "SpeakerEncoder": "earmark.models.speaker_encoder",
    "Take": "earmark.spotting.takes",
    "TakeWarning": "earmark.spotting.takes",
    "Verdict": "earmark.spotting.speaker",
    "enroll": "earmark.spotting.enrollment",
    "enroll_speaker": "earmark.spotting.speaker",
    "extend": "earmark.spotting.enrollment",
    "extend_speaker": "earmark.spotting.speaker",
    "load_encoder": "earmark.models.encoder",
    "load_speaker_encoder": "earmark.models.speaker_encoder",
    "reembed": "earmark.spotting.enrollment",
    "reembed_speaker": "earmark.spotting.speaker",
    "verify": "earmark.spotting.speaker",
}


def __getattr__(name: str) -> Any:
    if name == "audio":
        return import_module("earmark.core.audio")
    if name not in _HOMES:
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
