"""Say a word a few times; find it again anywhere.

```python
import earmark

keyword = earmark.enroll("jarvis", ["take1.wav", "take2.wav", "take3.wav"])
detector = earmark.Detector(keyword)
for detection in detector.push(chunk):
    print(detection.keyword, detection.start_s, detection.probability)
```
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earmark.public import *  # noqa: F403

# No telemetry: onnxruntime reports to its maker unless this is set before its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public names when one of them is first used: onnxruntime would triple the time of `earmark --help`."""
    if name == "audio":  # alone, because the other names import onnxruntime
        return import_module("earmark.core.audio")
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    public = import_module("earmark.public")
    if name == "__all__":
        return [public_name for public_name in vars(public) if not public_name.startswith("_")]
    if name not in vars(public):
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    return getattr(public, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
