"""Hidden states of wav2vec 2.0 (Baevski et al. 2020) through transformers, as Algayres et al. (2022) use them."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from torch import Tensor, nn

from earmark.core.audio import SAMPLE_RATE, Wave, as_wave
from earmark.core.config import NAME_OR_PATH
from earmark.core.errors import InputError, needs
from earmark.training.sequences.frames.source import Floats


class Wav2Vec2FrameSettings(BaseModel):
    """Which network, and where it is tapped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["wav2vec2"] = Field("wav2vec2", description="which source of frames")
    model: Annotated[str, NAME_OR_PATH] = Field(
        "facebook/wav2vec2-base", description="a folder that holds a Wav2Vec2Model, or its name on Hugging Face's hub"
    )
    layer: int = Field(
        8, ge=0, description="layers of the transformer that the sound passes; 8 as published, 0: what enters the first"
    )


class Wav2Vec2Frames:
    """Hidden states, 20 ms apart in all published models, each over 25 ms of sound and what attention adds.

    A wave is brought to zero mean and unit variance where the model's feature extractor says so. Layers beyond the
    wanted one are not computed.

    Args:
        settings: which network, and where it is tapped.
        device: where it runs.

    Raises:
        InputError: transformers is not installed; there is no such model, or no network; it is not a Wav2Vec2Model
            of that many layers at 16 kHz.
    """

    reach_s = math.inf  # attention

    def __init__(self, settings: Wav2Vec2FrameSettings, device: torch.device) -> None:
        extractor, model = _load(settings.model)
        config = model.config
        if extractor.sampling_rate != SAMPLE_RATE:
            raise InputError(
                f"{settings.model}: hears {extractor.sampling_rate} Hz; choose a model of {SAMPLE_RATE} Hz"
            )
        if settings.layer > config.num_hidden_layers:
            raise InputError(
                f"layer: {settings.model} has {config.num_hidden_layers} layers; choose no more, not {settings.layer}"
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
        # Not the network's own last output: some models normalize after the last layer, and this may be an earlier.
        if settings.layer:
            layers[-1].register_forward_hook(lambda _, __, state: self._states.append(state))
        else:
            layers[0].register_forward_pre_hook(lambda _, given: self._states.append(given[0]))
        self._model: nn.Module = model.eval().requires_grad_(False).to(device)
        self._device = device
        self.fingerprint = _fingerprint(model, f"{settings.layer} {self._normalize}")

    @torch.no_grad()
    def frames(self, wave: Wave) -> Floats:
        """Shape (1 + (n - 400) // 320, width) in the published models; none where the wave is shorter than 25 ms."""
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
    """Feature extractor and network of a model."""
    with needs("wav2vec"):
        from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
    is_folder = Path(name).is_dir()
    if not is_folder and (Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1):
        raise InputError(f"{name}: no such folder; name one that holds config.json and model.safetensors")
    cure = (
        "copy its config.json, preprocessor_config.json and model.safetensors there"
        if is_folder
        else "download the model where there is a network, and name its folder"
    )
    try:
        with _silence():
            config = Wav2Vec2Config.get_config_dict(name)[0]
            if config.get("model_type") != "wav2vec2":
                raise InputError(f"{name}: a {config.get('model_type', 'nameless')} model, not wav2vec2; name another")
            extractor = Wav2Vec2FeatureExtractor.from_pretrained(name)
            # Weights in pytorch_model.bin would be unpickled.
            return extractor, Wav2Vec2Model.from_pretrained(name, use_safetensors=True)
    # transformers explains a missing file in a paragraph, as an OSError.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".:")[:160]
        raise InputError(f"{name}: no wav2vec2 model that can be read ({reason}); {cure}") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Without bars and reports of weights that go unused, such as those of the quantizer."""
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
    """Samples that a frame's convolutions see, and samples between frames.

    >>> _reach_and_hop([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    (400, 320)
    """
    reach, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        reach += (kernel - 1) * hop
        hop *= stride
    return reach, hop


def _fingerprint(model: nn.Module, settings: str) -> str:
    """Of all weights that the frames hang on, wherever the model lies."""
    digest = hashlib.sha256(settings.encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
