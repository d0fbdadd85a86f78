"""Training task of stream encoders, which embed words in augmented scenes by the sum of their frame vectors."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.core.progress import Progress, no_progress
from earmark.training.batches.augment import FieldSettings
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.scene_cache import SceneCache, fill_scene_cache
from earmark.training.batches.scenes import SceneBatch, Scenes, SceneSettings
from earmark.training.nn.encoders import FrameEncoder, StreamSettings
from earmark.training.nn.pooling import jittered_windows, random_windows, sum_windows
from earmark.training.run.distributed import Processes
from earmark.training.run.task import Batch
from earmark.training.words.corpus import Corpus, augmentation_audio, digest, stamp_of
from earmark.training.words.recipe import Recipe
from earmark.training.words.validation import Validation

_SCALE_SCENES = 512  # number of scenes whose tower vectors set the scale of the head
_BATCH = 64
_PLAIN = SceneSettings(length_s=1.9, margin_s=0.45, speed=(1.0, 1.0), neighbor=0.0)


class StreamTask:
    """Training task of a stream encoder, made by `build_words_task`; implements `TrainingTask`.

    The encoder distills the published tower if the recipe gives the frame loss a weight.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        held_out: ClipBank | None,
        device: torch.device,
        *,
        progress: Progress = no_progress,
    ) -> None:
        assert isinstance(recipe.encoder, StreamSettings)
        assert isinstance(recipe.scenes, SceneSettings)
        assert isinstance(recipe.augment, FieldSettings)
        self.device = device
        self.classes = corpus.classes
        self.distillation = recipe.distillation
        self.model: FrameEncoder = recipe.encoder.build().to(device)
        self.background = torch.from_numpy(corpus.background)
        self.augmentation = recipe.augment.build(augmentation_audio(recipe.data), device)
        self.scenes = Scenes(corpus.bank, recipe.scenes, device)
        self.cache = self._fill_cache(recipe, progress) if recipe.data.copies else None
        self.teacher = self.model if recipe.encoder.frames == "published" else self._teacher()
        if self.teacher is not None:
            # A student learns tower vectors that are scaled to unit variance, as its own layers are at the start.
            self.teacher.head.fit_scale(self._sample_frames(self.teacher, len(corpus.bank), recipe.seed))
        self.episodes = corpus.episodes(recipe.episodes, recipe.seed)
        self.validation = Validation(held_out, self.embedder) if held_out is not None else None

    def batch(self, step: int, generator: torch.Generator, processes: Processes) -> Batch:
        """Draw and embed this process's share of a batch, see `TrainingTask.batch`.

        Every process draws all scenes of the batch, but embeds its own rows only.
        """
        episode = self.episodes.draw(step)
        clips = torch.from_numpy(episode.every_clip)
        count = len(clips)
        if extra := max(0, self.distillation.sounds - len(episode.background)):
            drawn = torch.randint(len(self.background), (extra,), generator=generator)
            clips = torch.cat([clips, self.background[drawn]])
        scenes, cached = self._draw(clips, generator)
        words, spoken = episode.clips.size, scenes.spoken
        windows = torch.cat(
            [jittered_windows(spoken[:words], generator), random_windows(spoken[words:count], generator)]
        )
        own, own_extra = processes.share(count), processes.share(extra)
        rows = torch.cat([torch.arange(count)[own], count + torch.arange(extra)[own_extra]]).to(self.device)
        frames, frame_loss = self._frames(scenes.waves[rows], None if cached is None else cached[rows])
        embedded = own.stop - own.start
        embeddings = sum_windows(self.model.head(frames[:embedded]), windows[own], self.model)
        return Batch(episode.labels, episode.clips.shape[1], embeddings, frame_loss)

    def validate(self) -> dict[str, float]:
        """Evaluate the current weights on the validation data of the recipe, and return metrics by name."""
        return self.validation.measure() if self.validation is not None else {}

    def embedder(self, bank: ClipBank, clips: NDArray[np.int64]) -> Callable[[], Tensor]:
        """Return a function that embeds clips with the current weights, shape (clips, d).

        The clips are embedded as they are: without other clips around them, and without augmentation.
        """
        plain = Scenes(bank, _PLAIN, self.device)
        generator = torch.Generator().manual_seed(0)
        scenes = [plain.draw(some, generator) for some in torch.from_numpy(clips).split(_BATCH)]

        @torch.inference_mode()
        def tower_frames() -> list[Tensor]:
            self.model.eval()
            return [self.model.tower_frames(batch.waves) for batch in scenes]

        # The vectors of a frozen tower do not change, so they are computed once.
        frozen = tower_frames() if self.model.settings.frames == "published" else None

        @torch.inference_mode()
        def embed() -> Tensor:
            self.model.eval()
            pairs = zip(frozen or tower_frames(), scenes, strict=True)
            return torch.cat(
                [sum_windows(self.model.head(frames), batch.spoken, self.model) for frames, batch in pairs]
            )

        return embed

    def _frames(self, waves: Tensor, cached: Tensor | None) -> tuple[Tensor, Tensor | float]:
        """Compute the model's tower vectors of waves, and their weighted loss against the teacher's vectors.

        Args:
            waves: shape (rows, n).
            cached: vectors of the published tower for the same waves, shape (rows, t, 96), or None.
        """
        if self.teacher is self.model:
            return (_frozen_frames(self.model, waves) if cached is None else cached), 0.0
        frames = self.model.tower_frames(waves)
        if self.teacher is None:
            return frames, 0.0
        target = _frozen_frames(self.teacher, waves) if cached is None else cached
        frame_loss = nn.functional.smooth_l1_loss(frames, self.teacher.head.normalize(target))
        return frames, self.distillation.weight * frame_loss

    def _draw(self, clips: Tensor, generator: torch.Generator) -> tuple[SceneBatch, Tensor | None]:
        """Draw augmented scenes of clips; with a cache, return the published tower's vectors of the scenes, too."""
        if self.cache is not None:
            scenes, frames = self.cache.draw(clips, generator)
            return SceneBatch(scenes.waves.to(self.device), scenes.spoken.to(self.device)), frames.to(self.device)
        scenes = self.scenes.draw(clips, generator)
        return SceneBatch(self.augmentation(scenes, generator), scenes.spoken), None

    def _fill_cache(self, recipe: Recipe, progress: Progress) -> SceneCache:
        data = recipe.data
        settings = [part.model_dump_json() for part in (recipe.scenes, recipe.augment, *data.noise, *data.rooms)]
        made_from = digest([*settings, str(recipe.seed), stamp_of(data.folder / "clips")])
        folder = data.folder / f"scenes-{made_from}"
        teacher = _published(self.device)
        return fill_scene_cache(
            self.scenes,
            self.augmentation,
            teacher,
            folder,
            copies=data.copies,
            seed=recipe.seed,
            progress=progress,
        )

    def _teacher(self) -> FrameEncoder | None:
        return _published(self.device).requires_grad_(False) if self.distillation.weight else None

    def _sample_frames(self, teacher: FrameEncoder, clips: int, seed: int) -> Tensor:
        """Compute the tower vectors of a teacher for random augmented scenes, shape (n, 96).

        Args:
            teacher: encoder with the published tower.
            clips: number of clips that the scenes are drawn from.
            seed: seed of the scenes.
        """
        generator = torch.Generator().manual_seed(seed)
        scenes, frames = self._draw(torch.randint(clips, (_SCALE_SCENES,), generator=generator), generator)
        return (_frozen_frames(teacher, scenes.waves) if frames is None else frames).flatten(0, 1)


def _published(device: torch.device) -> FrameEncoder:
    return StreamSettings(frames="published").build().to(device).eval()


def _frozen_frames(teacher: FrameEncoder, waves: Tensor) -> Tensor:
    with torch.no_grad():
        return teacher.tower_frames(waves)
