"""Hidden states of wav2vec 2.0 (Baevski et al. 2020) through transformers, as Algayres et al. (2022) use them."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.core.config import NAME_OR_PATH
from earmark.core.errors import InputError, needs
from earmark.training.sequences.frames.source import CPU, Floats, FrameSourceSettings


class Wav2Vec2FrameSettings(FrameSourceSettings):
    """Settings of the hidden states of wav2vec 2.0."""

    kind: Literal["wav2vec2"] = Field("wav2vec2", description="kind of frame source")
    model: Annotated[str, NAME_OR_PATH] = Field(
        "facebook/wav2vec2-base", description="folder of a Wav2Vec2Model, or its name on the Hugging Face hub"
    )
    layer: int = Field(
        8,
        ge=0,
        description="number of the transformer layer whose output is used (published: 8); 0: the input of layer 1",
    )

    def build_source(self, device: torch.device = CPU) -> "Wav2Vec2Frames":
        """Build the frame source with these settings; its frames are computed on `device`."""
        return Wav2Vec2Frames(self, device)


class Wav2Vec2Frames:
    """Computes the hidden states of a layer of wav2vec 2.0, one every 20 ms in all published models.

    The convolutions compute each frame from 25 ms of audio; attention makes it depend on the whole wave. A wave is
    scaled to zero mean and unit variance if the model's feature extractor does so. Layers after the chosen one are not
    computed.

    Args:
        settings: model and layer.
        device: device that computes the frames.

    Raises:
        InputError: transformers is not installed; the model cannot be found or downloaded; or it is not a Wav2Vec2Model
            for 16 kHz that has the layer.
    """

    reach_s = math.inf  # because of attention

    def __init__(self, settings: Wav2Vec2FrameSettings, device: torch.device) -> None:
        extractor, model = _load(settings.model)
        config = model.config
        if extractor.sampling_rate != SAMPLE_RATE:
            raise InputError(
                f"{settings.model}: the model is for {extractor.sampling_rate} Hz; choose a model for {SAMPLE_RATE} Hz"
            )
        if settings.layer > config.num_hidden_layers:
            raise InputError(
                f"{settings.model} has {config.num_hidden_layers} layers, not {settings.layer}; choose a lower layer",
                key="frames.layer",
            )
        self.name = f"wav2vec2 {settings.model}, layer {settings.layer}"
        self.width: int = config.hidden_size
        reach, self.hop = _reach_and_hop(config.conv_kernel, config.conv_stride)
        self.first_s = reach / 2 / SAMPLE_RATE
        self._reach = reach
        self._normalize: bool = extractor.do_normalize
        self._states: list[Tensor] = []
        layers = model.encoder.layers[: max(1, settings.layer)]
        model.encoder.layers = layers
        # Hooks read the states, because some models normalize their output after the last layer.
        if settings.layer:
            layers[-1].register_forward_hook(lambda _, __, state: self._states.append(state))
        else:
            layers[0].register_forward_pre_hook(lambda _, given: self._states.append(given[0]))
        self._model: nn.Module = model.eval().requires_grad_(False).to(device)
        self._device = device
        self.fingerprint = _fingerprint(model, f"{settings.layer} {self._normalize}")

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Compute the frames of a wave of n samples; there are none if it is shorter than 25 ms.

        For the published models, the shape is (1 + (n - 400) // 320, width).
        """
        wave = as_wave(wave)
        if len(wave) < self._reach:
            return np.zeros((0, self.width), np.float32)
        if self._normalize:
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        try:
            self._model(torch.from_numpy(wave).to(self._device)[None])
            return self._states[0][0].float().cpu().numpy()
        finally:
            self._states.clear()


def _load(name: str) -> tuple[Any, Any]:
    """Load the feature extractor and the network of a wav2vec 2.0 model.

    Args:
        name: folder of the model, or its name on the Hugging Face hub.
    """
    with needs("wav2vec"):
        from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
    is_folder = Path(name).is_dir()
    if not is_folder and (Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1):
        raise InputError(f"{name}: no such folder; name a folder with config.json and model.safetensors")
    cure = (
        "copy the model's config.json, preprocessor_config.json and model.safetensors into this folder"
        if is_folder
        else "download the model on a machine with a network, and name its folder"
    )
    try:
        with _silent():
            config = Wav2Vec2Config.get_config_dict(name)[0]
            if config.get("model_type") != "wav2vec2":
                raise InputError(
                    f"{name}: the model's type is {config.get('model_type', 'unknown')}, not wav2vec2; choose another"
                )
            extractor = Wav2Vec2FeatureExtractor.from_pretrained(name)
            # Weights in pytorch_model.bin would be unpickled.
            return extractor, Wav2Vec2Model.from_pretrained(name, use_safetensors=True)
    # For a missing file, transformers raises an OSError whose message is a paragraph.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".:")[:160]
        raise InputError(f"{name}: cannot read a wav2vec2 model ({reason}); {cure}") from None


@contextmanager
def _silent() -> Iterator[None]:
    """Turn off the progress bars and the warnings of the package transformers inside the block."""
    from transformers.utils import logging

    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()


def _reach_and_hop(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """Compute the receptive field of the convolutions and the distance between frames, in samples.

    >>> _reach_and_hop([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    (400, 320)
    """
    reach, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        reach += (kernel - 1) * hop
        hop *= stride
    return reach, hop


def _fingerprint(model: nn.Module, settings: str) -> str:
    """Hash the settings and all weights that the frames depend on; the path of the model does not change the hash."""
    digest = hashlib.sha256(settings.encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
