"""Scene cache: augmented scenes that are drawn once and stored with their frames, for several trainings.

A frozen tower takes most of the time of a training step on a CPU. The cache therefore contains a few draws of each
clip, which all runs on the same data share. A head on frozen frames is trained on the cached frames. A student is
trained on the cached audio, with the frames as targets.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.core.arrays import write_array
from earmark.core.files import atomic_folder, read_json, write_json
from earmark.core.progress import Progress, follow, no_progress, within
from earmark.training.batches.augment import FieldAugmentation
from earmark.training.batches.scenes import SceneBatch, Scenes
from earmark.training.nn.encoders import FrameEncoder

_BATCH = 64


class SceneCache:
    """Draws stored scenes, which are clips in their context, instead of making new ones.

    Args:
        folder: folder that :func:`fill_scene_cache` filled.
        copies: number of draws of each clip to use; the folder may contain more.
    """

    def __init__(self, folder: Path, copies: int) -> None:
        self.copies = []
        for copy in (folder / f"copy_{number}" for number in range(copies)):
            shape = read_json(copy / "shape.json")
            waves = np.memmap(copy / "waves.i16", np.int16, mode="c", shape=tuple(shape["waves"]))
            frames = np.memmap(copy / "frames.f16", np.float16, mode="c", shape=tuple(shape["frames"]))
            self.copies.append((waves, frames, np.load(copy / "spoken.npy", allow_pickle=False)))

    def draw(self, clips: Tensor, generator: torch.Generator) -> tuple[SceneBatch, Tensor]:
        """Choose one of the cached scenes of each clip, and return it with the published tower's frames of it.

        The frames have shape (batch, t, 96).
        """
        rows = clips.numpy()
        which = torch.randint(len(self.copies), (len(clips),), generator=generator).numpy()
        waves = self._gather(rows, which, 0).astype(np.float32) / 32768
        frames = self._gather(rows, which, 1).astype(np.float32)
        spoken = self._gather(rows, which, 2)
        return SceneBatch(torch.from_numpy(waves), torch.from_numpy(spoken)), torch.from_numpy(frames)

    def _gather(self, rows: NDArray[np.int64], which: NDArray[np.int64], part: int) -> NDArray[np.generic]:
        return np.stack([self.copies[copy][part][row] for row, copy in zip(rows, which, strict=True)])


def fill_scene_cache(
    scenes: Scenes,
    augmentation: FieldAugmentation,
    teacher: FrameEncoder,
    folder: Path,
    *,
    copies: int,
    seed: int,
    progress: Progress = no_progress,
) -> SceneCache:
    """Draw ``copies`` augmented scenes of each clip, compute the tower frames of ``teacher``, and store both.

    Each copy is written atomically, and existing copies are kept.
    """
    for copy in range(copies):
        if not (folder / f"copy_{copy}").exists():
            stage = f"copy {copy + 1} of {copies}"
            with atomic_folder(folder / f"copy_{copy}") as draft:
                _draw_copy(scenes, augmentation, teacher, draft, seed * 1000 + copy, within(stage, progress))
    return SceneCache(folder, copies)


def _draw_copy(
    scenes: Scenes, augmentation: FieldAugmentation, teacher: FrameEncoder, folder: Path, seed: int, progress: Progress
) -> None:
    count = len(scenes.start)
    generator = torch.Generator().manual_seed(seed)
    spoken = []
    with (folder / "waves.i16").open("wb") as audio, (folder / "frames.f16").open("wb") as vectors:
        for clips in follow(torch.arange(count).split(_BATCH), "drawing scenes", progress):
            drawn = scenes.draw(clips, generator)
            waves = augmentation(drawn, generator)
            with torch.inference_mode():
                frames = teacher.tower_frames(waves)
            audio.write((waves * 32767).round().to(torch.int16).cpu().numpy().tobytes())
            vectors.write(frames.to(torch.float16).cpu().numpy().tobytes())
            spoken.append(drawn.spoken.cpu().numpy())
    write_array(folder / "spoken.npy", np.concatenate(spoken))
    shape = {"waves": [count, waves.shape[1]], "frames": [count, *frames.shape[1:]]}
    write_json(folder / "shape.json", shape)
