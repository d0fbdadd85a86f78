"""Say a word a few times; find it again anywhere.

```python
import earmark

keyword = earmark.enroll("jarvis", [earmark.audio.read(path) for path in paths])
detector = earmark.Detector([keyword])
for detection in detector.push(chunk):
    print(detection.keyword, detection.start_s, detection.probability)
```
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from earmark.errors import EarmarkError, InputError

if TYPE_CHECKING:
    from earmark import audio
    from earmark.detector import Detection, Detector, DetectorSettings
    from earmark.encoder import Encoder, load_encoder
    from earmark.enrollment import enroll, extend, reembed
    from earmark.keywords import Keyword
    from earmark.speaker_encoder import SpeakerEncoder, load_speaker_encoder
    from earmark.speakers import Speaker, Verdict, enroll_speaker, extend_speaker, reembed_speaker, verify
    from earmark.store import KeywordStore
    from earmark.takes import Take, TakeWarning

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
    "Detection": "earmark.detector",
    "Detector": "earmark.detector",
    "DetectorSettings": "earmark.detector",
    "Encoder": "earmark.encoder",
    "Keyword": "earmark.keywords",
    "KeywordStore": "earmark.store",
    "Speaker": "earmark.speakers",
    "SpeakerEncoder": "earmark.speaker_encoder",
    "Take": "earmark.takes",
    "TakeWarning": "earmark.takes",
    "Verdict": "earmark.speakers",
    "enroll": "earmark.enrollment",
    "enroll_speaker": "earmark.speakers",
    "extend": "earmark.enrollment",
    "extend_speaker": "earmark.speakers",
    "load_encoder": "earmark.encoder",
    "load_speaker_encoder": "earmark.speaker_encoder",
    "reembed": "earmark.enrollment",
    "reembed_speaker": "earmark.speakers",
    "verify": "earmark.speakers",
}


def __getattr__(name: str) -> Any:
    if name == "audio":
        return import_module("earmark.audio")
    if name not in _HOMES:
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
