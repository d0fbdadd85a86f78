"""Scenes that are drawn once and kept: their sound, and what the published tower makes of it.

Computing a frozen tower's frames takes most of a training step on a CPU. So each clip is drawn a few times, and the
draws serve all runs on the same data: a head that learns on frozen frames reads the frames, a student reads the sound
and the frames that it should learn.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.training.batches.augment import FieldAugmentation
from earmark.training.batches.scenes import SceneBatch, Scenes
from earmark.training.nn.encoders import FrameEncoder
from earmark.training.run.progress import follow

_BATCH = 64


class SceneCache:
    """Draws from kept scenes.

    Args:
        folder: where :func:`fill_scene_cache` put them.
        copies: how many draws of each clip are used; more may lie there.
    """

    def __init__(self, folder: Path, copies: int) -> None:
        self.copies = []
        for copy in (folder / f"copy_{number}" for number in range(copies)):
            shape = json.loads((copy / "shape.json").read_text(encoding="utf-8"))
            waves = np.memmap(copy / "waves.i16", np.int16, mode="c", shape=tuple(shape["waves"]))
            frames = np.memmap(copy / "frames.f16", np.float16, mode="c", shape=tuple(shape["frames"]))
            self.copies.append((waves, frames, np.load(copy / "spoken.npy", allow_pickle=False)))

    def draw(self, clips: Tensor, generator: torch.Generator) -> tuple[SceneBatch, Tensor]:
        """A kept scene of each clip, with its tower frames, shape (batch, t, 96)."""
        rows = clips.numpy()
        which = torch.randint(len(self.copies), (len(clips),), generator=generator).numpy()
        waves = self._gather(rows, which, 0).astype(np.float32) / 32768
        frames = self._gather(rows, which, 1).astype(np.float32)
        spoken = self._gather(rows, which, 2)
        return SceneBatch(torch.from_numpy(waves), torch.from_numpy(spoken)), torch.from_numpy(frames)

    def _gather(self, rows: NDArray[np.int64], which: NDArray[np.int64], part: int) -> NDArray[np.generic]:
        return np.stack([self.copies[copy][part][row] for row, copy in zip(rows, which, strict=True)])


def fill_scene_cache(
    scenes: Scenes, augmentation: FieldAugmentation, teacher: FrameEncoder, folder: Path, *, copies: int, seed: int
) -> SceneCache:
    """Draw each clip ``copies`` times, augment it, run the tower over it, and keep it all.

    Each copy appears in one step, when it is complete; copies that are there stay.
    """
    for copy in range(copies):
        if not (folder / f"copy_{copy}").exists():
            _store_copy(
                scenes, augmentation, teacher, folder, copy, f"drawing scenes, copy {copy + 1} of {copies}", seed
            )
    return SceneCache(folder, copies)


def _store_copy(
    scenes: Scenes,
    augmentation: FieldAugmentation,
    teacher: FrameEncoder,
    folder: Path,
    copy: int,
    title: str,
    seed: int,
) -> None:
    partial = folder / f"partial_{copy}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    count = len(scenes.start)
    generator = torch.Generator().manual_seed(seed * 1000 + copy)
    spoken = []
    with (partial / "waves.i16").open("wb") as sound, (partial / "frames.f16").open("wb") as vectors:
        for clips in follow(torch.arange(count).split(_BATCH), title):
            drawn = scenes.draw(clips, generator)
            waves = augmentation(drawn, generator)
            with torch.inference_mode():
                frames = teacher.tower_frames(waves)
            sound.write((waves * 32767).round().to(torch.int16).cpu().numpy().tobytes())
            vectors.write(frames.to(torch.float16).cpu().numpy().tobytes())
            spoken.append(drawn.spoken.cpu().numpy())
    np.save(partial / "spoken.npy", np.concatenate(spoken))
    shape = {"waves": [count, waves.shape[1]], "frames": [count, *frames.shape[1:]]}
    (partial / "shape.json").write_text(json.dumps(shape), encoding="utf-8")
    partial.rename(folder / f"copy_{copy}")
