"""Export of a clip encoder that was trained on speakers to a speaker encoder, an ONNX file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.onnx.utils import register_custom_op_symbolic

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.models.onnx_model import FORMAT
from earmark.models.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from earmark.training.export.onnx_graph import OPSET, TOLERANCE, atomic_graph, check_difference, model_card, trace
from earmark.training.nn.encoders import ClipEncoder, StreamSettings
from earmark.training.nn.frontends.spectrogram import Spectrogram
from earmark.training.run.checkpoint import Checkpoint, load_checkpoint, load_weights, strip_prefix
from earmark.training.words.recipe import check_recipe, portable


class ConvolutionalSpectrogram(nn.Module):
    """A power spectrogram by convolution with windowed waves, because the ONNX exporter has no complex numbers."""

    kernel: Tensor

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__()
        self.hop, self.padding = spectrogram.hop, spectrogram.padding
        n_fft = spectrogram.n_fft
        self.margin = n_fft // 2 if spectrogram.centered else 0
        turns = torch.outer(torch.arange(n_fft // 2 + 1), torch.arange(n_fft)) % n_fft
        angles = 2 * torch.pi * turns.double() / n_fft
        missing = n_fft - len(spectrogram.window)
        window = nn.functional.pad(spectrogram.window, (missing // 2, missing - missing // 2)).double()
        kernel = torch.cat([angles.cos(), angles.sin()]) * window
        self.register_buffer("kernel", kernel[:, None].float(), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Compute the power spectra of waves, shape (batch, n), as `Spectrogram.forward` does."""
        if self.margin:
            waves = nn.functional.pad(waves, (self.margin, self.margin), mode=self.padding)
        both = nn.functional.conv1d(waves[:, None], self.kernel, stride=self.hop)
        real, imaginary = both.chunk(2, dim=1)
        return (real.square() + imaginary.square()).transpose(1, 2)


class _UnitEmbeddings(nn.Module):
    """A clip encoder whose embeddings are scaled to unit length."""

    def __init__(self, model: ClipEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, waves: Tensor) -> Tensor:
        return nn.functional.normalize(self.model(waves), dim=1)


def export_speaker(
    checkpoint: Path, out: Path, *, card: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> SpeakerEncoder:
    """Export a checkpoint to a speaker encoder that runs without torch.

    The graph embeds clips of the length that the network was trained on. The runtime averages evenly spaced clips of
    longer audio, and repeats shorter audio.

    Args:
        checkpoint: checkpoint of a clip encoder that ``earmark train`` wrote with ``data.classes = "speaker"``.
        out: the .onnx file, written atomically after the check.
        card: additional entries of the model card.
        tolerance: maximum difference between embeddings of checkpoint and graph.

    Raises:
        InputError: the checkpoint was not trained on speakers, or its encoder runs on streams.
        EarmarkError: the graph differs from the checkpoint.
    """
    state = load_checkpoint(checkpoint)
    model = load_speaker_model(state)
    description = {
        "format": FORMAT,
        "kind": "speaker",
        "name": state.recipe["name"],
        "sample_rate": SAMPLE_RATE,
        "samples": model.settings.samples,
        "dimension": model.settings.dimension,
        "card": model_card(state, portable(check_recipe(state.recipe, str(checkpoint))), card),
    }
    # Tracing replaces the spectrogram of its model, so it gets a second copy.
    with atomic_graph(out, _graph(load_speaker_model(state)), description) as draft:
        check_speaker_parity(model, load_speaker_encoder(draft), tolerance)
    return load_speaker_encoder(out)


def load_speaker_model(state: Checkpoint) -> ClipEncoder:
    """Build the clip encoder of a checkpoint that was trained on speakers, in evaluation mode on the CPU.

    Raises:
        InputError: the checkpoint was not trained on speakers, or its encoder runs on streams.
    """
    recipe = check_recipe(state.recipe, "the checkpoint")
    if isinstance(recipe.encoder, StreamSettings):
        raise InputError(
            f"{recipe.name}: a stream encoder cannot be exported as a speaker encoder; train a clip encoder"
        )
    if recipe.data.classes != "speaker":
        raise InputError(
            f"{recipe.name}: the encoder was trained on words, not speakers; set data.classes = 'speaker' and train it "
            "from scratch"
        )
    model = recipe.encoder.build()
    load_weights(model, strip_prefix(state.tensors, "model."))
    return model.eval()


def check_speaker_parity(model: ClipEncoder, encoder: SpeakerEncoder, tolerance: float = TOLERANCE) -> float:
    """Check that an exported speaker encoder computes the same embeddings as torch for a few clips.

    Returns:
        Maximum difference of an element.

    Raises:
        EarmarkError: the difference is above the tolerance.
    """
    generator = np.random.default_rng(0)
    waves = (0.1 * generator.standard_normal((3, model.settings.samples))).astype(np.float32)
    waves[1] *= 0.01
    waves[2, : len(waves[2]) // 2] *= 0.01
    with torch.inference_mode():
        ours = nn.functional.normalize(model(torch.from_numpy(waves)), dim=1).numpy()
    difference = float(np.abs(ours - encoder.embed_batch(list(waves))).max())
    return check_difference(encoder.name, difference, tolerance)


def _graph(model: ClipEncoder) -> onnx.ModelProto:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Spectrogram):
                setattr(parent, name, ConvolutionalSpectrogram(child))
    # The graph gets one clip at a time, because it cannot split a batch into microbatches as some networks do.
    wave = torch.from_numpy(np.random.default_rng(1).standard_normal((1, model.settings.samples)).astype(np.float32))
    register_custom_op_symbolic("aten::mT", _transpose, OPSET)  # the exporter does not support this operator
    return trace(_UnitEmbeddings(model), (wave,), input_names=["wave"], output_names=["embedding"])


def _transpose(graph: Any, values: Any) -> Any:
    """Add a node to an ONNX graph that swaps the last two axes of values, and return its output."""
    rank = values.type().dim()
    return graph.op("Transpose", values, perm_i=[*range(rank - 2), rank - 1, rank - 2])
