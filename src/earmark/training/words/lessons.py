"""How a batch of clips becomes embeddings: one lesson for encoders of streams, another for encoders of clips.

The loop knows episodes and embeddings; a lesson knows what lies between them: where in a scene a clip is heard,
through which augmentation, and by which network.
"""

from collections.abc import Callable
from typing import Protocol, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.training.batches.augment import Augmentation, FieldSettings, OneOf, OneOfSettings
from earmark.training.batches.center_crop import CenterCrops, CenterCropSettings
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.batches.crops import center_crop
from earmark.training.batches.episodes import Episode
from earmark.training.batches.scene_cache import SceneCache, fill_scene_cache
from earmark.training.batches.scenes import SceneBatch, Scenes, SceneSettings
from earmark.training.batches.tiled_crop import TiledCrops, TiledCropSettings
from earmark.training.nn.encoders import ClipEncoder, FrameEncoder, StreamSettings
from earmark.training.nn.pooling import jitter, pieces, sum_windows
from earmark.training.run.distributed import Processes
from earmark.training.words.corpus import Corpus, digest, recorded, stamp_of
from earmark.training.words.recipe import Recipe

Embed = Callable[[], Tensor]

_SAMPLE = 512  # scenes that the scale of a tower is measured on
_BATCH = 64
_PLAIN = SceneSettings(length_s=1.9, margin_s=0.45, speed=(1.0, 1.0), neighbor=0.0)


class Lesson(Protocol):
    """What the loop asks of a lesson."""

    @property
    def model(self) -> nn.Module:
        """The encoder that learns."""

    def embed(self, episode: Episode, generator: torch.Generator, processes: Processes) -> tuple[Tensor, Tensor]:
        """Embeddings of this process's share of an episode, and what else the encoder should learn from it.

        Args:
            episode: N · M clips of classes and B of none, in this order.
            generator: source of all randomness, on the CPU, alike in all processes.
            processes: which share is wanted.

        Returns:
            Shape (its share of N · M + B, d), and a loss to add.
        """

    def judge(self, bank: ClipBank, clips: NDArray[np.int64]) -> Embed:
        """What embeds these clips, clean, whenever it is called: shape (clips, d)."""


def build_lesson(recipe: Recipe, corpus: Corpus, device: torch.device) -> Lesson:
    """The lesson that the recipe's encoder needs."""
    if isinstance(recipe.encoder, StreamSettings):
        return StreamLesson(recipe, corpus, device)
    return ClipLesson(recipe, corpus, device)


class ClipLesson:
    """Clips of one length, each one vector.

    Several processes draw one plan of the whole batch, and each computes its own rows of it only.
    """

    def __init__(self, recipe: Recipe, corpus: Corpus, device: torch.device) -> None:
        assert not isinstance(recipe.scenes, SceneSettings)
        assert not isinstance(recipe.encoder, StreamSettings)
        self.device = device
        self.model: ClipEncoder = recipe.encoder.build().to(device)
        sounds = recorded(recipe.data)
        self.hearing = recipe.scenes
        self.clips: CenterCrops | TiledCrops
        match recipe.scenes:
            case CenterCropSettings():
                self.clips = CenterCrops(corpus.bank, recipe.scenes, device, sounds.noise)
            case TiledCropSettings():
                self.clips = TiledCrops(corpus.bank, recipe.scenes, device)
        self.augmentation: OneOf | Augmentation
        match recipe.augment:
            case OneOfSettings() as settings:
                self.augmentation = OneOf(settings, sounds.noise, sounds.music, sounds.speech, sounds.rooms, device)
            case FieldSettings() as settings:
                self.augmentation = Augmentation(settings, sounds.noise, sounds.rooms, device)
            case _:
                assert_never(recipe.augment)

    def waves(self, clips: Tensor, generator: torch.Generator, rows: slice) -> Tensor:
        """Augmented clips: the rows of a batch, shape (rows, n)."""
        if isinstance(self.augmentation, OneOf):
            own = self._draw(clips, generator, rows)
            plan = self.augmentation.plan(len(clips), self.clips.size, generator)
            return self.augmentation.apply(own, plan, rows)
        waves = self._draw(clips, generator, slice(None))
        whole = torch.tensor([0, self.clips.size], device=self.device).expand(len(clips), 2)
        return self.augmentation(SceneBatch(waves, whole), generator)[rows]

    def _draw(self, clips: Tensor, generator: torch.Generator, rows: slice) -> Tensor:
        match self.clips:
            case CenterCrops():
                return self.clips.draw(self.clips.plan(clips, generator), rows)
            case TiledCrops():
                return self.clips.draw(self.clips.plan(clips, generator), rows)

    def embed(self, episode: Episode, generator: torch.Generator, processes: Processes) -> tuple[Tensor, Tensor]:
        """See :class:`Lesson`."""
        clips = torch.from_numpy(episode.every_clip)
        waves = self.waves(clips, generator, processes.share(len(clips)))
        return self.model(waves), torch.zeros((), device=self.device)

    def judge(self, bank: ClipBank, clips: NDArray[np.int64]) -> Embed:
        """See :class:`Lesson`."""
        waves = np.stack([center_crop(bank.wave(clip), self.hearing) for clip in clips.tolist()])
        heard = torch.from_numpy(waves).split(_BATCH)

        @torch.inference_mode()
        def embed() -> Tensor:
            self.model.eval()
            return torch.cat([self.model(waves.to(self.device)) for waves in heard])

        return embed


class StreamLesson:
    """Clips placed in scenes; the frames inside each word's window are summed."""

    def __init__(self, recipe: Recipe, corpus: Corpus, device: torch.device) -> None:
        assert isinstance(recipe.encoder, StreamSettings)
        assert isinstance(recipe.scenes, SceneSettings)
        assert isinstance(recipe.augment, FieldSettings)
        self.device = device
        self.distillation = recipe.distillation
        self.model: FrameEncoder = recipe.encoder.build().to(device)
        self.sounds = torch.from_numpy(corpus.background)
        sounds = recorded(recipe.data)
        self.augmentation = Augmentation(recipe.augment, sounds.noise, sounds.rooms, device)
        self.live = Scenes(corpus.bank, recipe.scenes, device)
        self.stored = self._stored(recipe) if recipe.data.copies else None
        self.teacher = self.model if recipe.encoder.frames == "published" else self._teacher()
        if self.teacher is not None:
            # A student learns its teacher's frames at unit scale, the scale of its own layers at the start.
            self.teacher.head.fit_scale(self._sample_frames(self.teacher, len(corpus.bank), recipe.seed))

    def embed(self, episode: Episode, generator: torch.Generator, processes: Processes) -> tuple[Tensor, Tensor]:
        """See :class:`Lesson`."""
        clips = torch.from_numpy(episode.every_clip)
        judged = len(clips)
        if extra := max(0, self.distillation.sounds - len(episode.background)):
            clips = torch.cat([clips, self.sounds[torch.randint(len(self.sounds), (extra,), generator=generator)]])
        scenes, taught = self._draw(clips, generator)
        words = episode.clips.size
        spoken = scenes.spoken
        windows = torch.cat([jitter(spoken[:words], generator), pieces(spoken[words:judged], generator)])
        own = processes.share(judged)
        others = processes.share(extra)
        rows = torch.cat([torch.arange(judged)[own], judged + torch.arange(extra)[others]]).to(self.device)
        waves = scenes.waves[rows]
        taught = None if taught is None else taught[rows]
        if taught is None and self.teacher is not None:
            taught = _frozen_frames(self.teacher, waves)
        # A frozen tower would say again what its kept frames say.
        is_frozen = self.teacher is self.model
        heard = taught if is_frozen and taught is not None else self.model.tower_frames(waves)
        count = own.stop - own.start
        embeddings = sum_windows(self.model.head(heard[:count]), windows[own], self.model)
        if is_frozen or taught is None or self.teacher is None:
            return embeddings, torch.zeros((), device=self.device)
        frame_loss = nn.functional.smooth_l1_loss(heard, self.teacher.head.normalize(taught))
        return embeddings, self.distillation.weight * frame_loss

    def judge(self, bank: ClipBank, clips: NDArray[np.int64]) -> Embed:
        """See :class:`Lesson`."""
        plain = Scenes(bank, _PLAIN, self.device)
        generator = torch.Generator().manual_seed(0)
        scenes = [plain.draw(some, generator) for some in torch.from_numpy(clips).split(_BATCH)]

        @torch.inference_mode()
        def frames() -> list[Tensor]:
            self.model.eval()
            return [self.model.tower_frames(drawn.waves) for drawn in scenes]

        # What is frozen is computed once.
        frozen = frames() if self.model.settings.frames == "published" else None

        @torch.inference_mode()
        def embed() -> Tensor:
            self.model.eval()
            return torch.cat(
                [
                    sum_windows(self.model.head(heard), drawn.spoken, self.model)
                    for heard, drawn in zip(frozen or frames(), scenes, strict=True)
                ]
            )

        return embed

    def _draw(self, clips: Tensor, generator: torch.Generator) -> tuple[SceneBatch, Tensor | None]:
        """Augmented scenes of clips, and their teacher's frames where they are kept."""
        if self.stored is not None:
            scenes, frames = self.stored.draw(clips, generator)
            return SceneBatch(scenes.waves.to(self.device), scenes.spoken.to(self.device)), frames.to(self.device)
        scenes = self.live.draw(clips, generator)
        return SceneBatch(self.augmentation(scenes, generator), scenes.spoken), None

    def _stored(self, recipe: Recipe) -> SceneCache:
        data = recipe.data
        teacher = StreamSettings(frames="published").build().to(self.device).eval()
        settings = [part.model_dump_json() for part in (recipe.scenes, recipe.augment, *data.noise, *data.rooms)]
        drawn_by = digest([*settings, str(recipe.seed), stamp_of(data.folder / "clips")])
        folder = data.folder / f"scenes-{drawn_by}"
        return fill_scene_cache(self.live, self.augmentation, teacher, folder, copies=data.copies, seed=recipe.seed)

    def _teacher(self) -> FrameEncoder | None:
        if not self.distillation.weight:
            return None
        return StreamSettings(frames="published").build().to(self.device).eval().requires_grad_(False)

    def _sample_frames(self, teacher: FrameEncoder, clips: int, seed: int) -> Tensor:
        """Tower vectors of some scenes, shape (n, 96)."""
        generator = torch.Generator().manual_seed(seed)
        scenes, frames = self._draw(torch.randint(clips, (_SAMPLE,), generator=generator), generator)
        return (_frozen_frames(teacher, scenes.waves) if frames is None else frames).flatten(0, 1)


def _frozen_frames(teacher: FrameEncoder, waves: Tensor) -> Tensor:
    with torch.no_grad():
        return teacher.tower_frames(waves)
