"""Training task of clip encoders, which embed augmented crops of one length."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.crops import center_crop
from earmark.training.batches.scenes import SceneSettings
from earmark.training.nn.encoders import ClipEncoder, StreamSettings
from earmark.training.run.distributed import Processes
from earmark.training.run.task import Batch
from earmark.training.words.corpus import Corpus, augmentation_audio
from earmark.training.words.recipe import Recipe
from earmark.training.words.validation import Validation

_BATCH = 64


class ClipTask:
    """Training task of a clip encoder, made by `build_words_task`; implements `TrainingTask`."""

    def __init__(self, recipe: Recipe, corpus: Corpus, held_out: ClipBank | None, device: torch.device) -> None:
        assert not isinstance(recipe.scenes, SceneSettings)
        assert not isinstance(recipe.encoder, StreamSettings)
        self.device = device
        self.classes = corpus.classes
        self.model: ClipEncoder = recipe.encoder.build().to(device)
        audio = augmentation_audio(recipe.data)
        self.crop_settings = recipe.scenes
        self.crops = recipe.scenes.build(corpus.bank, audio.noise, device)
        self.augmentation = recipe.augment.build(audio, device)
        self.episodes = corpus.episodes(recipe.episodes, recipe.seed)
        self.validation = Validation(held_out, self.embedder) if held_out is not None else None

    def batch(self, step: int, generator: torch.Generator, processes: Processes) -> Batch:
        """Draw and embed this process's share of a batch, see `TrainingTask.batch`.

        Every process plans the whole batch, but draws and embeds its own rows only.
        """
        episode = self.episodes.draw(step)
        clips = torch.from_numpy(episode.every_clip)
        rows = processes.share(len(clips))
        crops = self.crops.planned(clips, generator)
        waves = self.augmentation.augment_clips(crops, len(clips), rows, generator)
        return Batch(episode.labels, episode.clips.shape[1], self.model(waves))

    def validate(self) -> dict[str, float]:
        """Evaluate the current weights on the validation data of the recipe, and return metrics by name."""
        return self.validation.measure() if self.validation is not None else {}

    def embedder(self, bank: ClipBank, clips: NDArray[np.int64]) -> Callable[[], Tensor]:
        """Return a function that embeds center crops of clips with the current weights, shape (clips, d)."""
        crops = np.stack([center_crop(bank.wave(clip), self.crop_settings) for clip in clips.tolist()])
        batches = torch.from_numpy(crops).split(_BATCH)

        @torch.inference_mode()
        def embed() -> Tensor:
            self.model.eval()
            return torch.cat([self.model(waves.to(self.device)) for waves in batches])

        return embed
