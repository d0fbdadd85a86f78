from typing import Any

import pytest
import torch

from earmark.training.batches.augment import AugmentationAudio, FieldSettings
from earmark.training.batches.scene_cache import SceneCache, fill_scene_cache
from earmark.training.batches.scenes import Scenes, SceneSettings
from earmark.training.nn.encoders import StreamSettings

CPU = torch.device("cpu")


class Teacher:
    """Encoder that counts its batches, and fails after a number of them."""

    def __init__(self, lives):
        self.tower, self.lives = StreamSettings(widths=(2, 2, 2, 2, 2)).build().eval(), lives

    def tower_frames(self, waves):
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        return self.tower.tower_frames(waves)


@pytest.fixture
def store(bank_of, tone, tmp_path):
    """`store(copies, lives)`: fill a cache with scenes of five tones; the teacher fails after `lives` batches."""
    scenes = Scenes(bank_of([tone(300 * n, 0.3) for n in range(1, 6)]), SceneSettings(length_s=1.3, margin_s=0.3), CPU)
    augmentation = FieldSettings().build(AugmentationAudio(), CPU)

    def make(copies, lives=99):
        torch.manual_seed(0)
        teacher: Any = Teacher(lives)
        return fill_scene_cache(scenes, augmentation, teacher, tmp_path / "kept", copies=copies, seed=1)

    return make


def drawn(stored, seed=0):
    return stored.draw(torch.arange(5), torch.Generator().manual_seed(seed))


def test_cached_scenes_have_the_frames_of_the_teacher(store):
    scenes, frames = drawn(store(2))
    assert scenes.waves.shape == (5, 20_800)
    assert scenes.spoken.shape == (5, 2)
    torch.manual_seed(0)
    expected = Teacher(1).tower_frames(scenes.waves)
    assert torch.allclose(frames, expected, atol=1e-2)


def test_each_copy_is_another_draw(store):
    stored = store(2)
    seen = {tuple(drawn(stored, seed)[0].spoken[0].tolist()) for seed in range(20)}
    assert len(seen) == 2


def test_an_interruption_keeps_complete_copies(store, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        store(3, lives=1)
    kept = tmp_path / "kept"
    assert [path.name for path in sorted(kept.glob("copy_*"))] == ["copy_0"]
    made = (kept / "copy_0" / "waves.i16").stat().st_mtime_ns
    assert len(store(3, lives=2).copies) == 3
    assert (kept / "copy_0" / "waves.i16").stat().st_mtime_ns == made
    assert sorted(path.name for path in kept.iterdir()) == ["copy_0", "copy_1", "copy_2"]
    # All copies exist, and a caller can ask for fewer.
    assert len(store(3, lives=0).copies) == 3
    assert len(store(2, lives=0).copies) == 2


def test_a_draw_depends_on_the_generator_only(store, tmp_path):
    one = drawn(store(2), seed=5)
    again = drawn(SceneCache(tmp_path / "kept", 2), seed=5)
    assert torch.equal(one[0].waves, again[0].waves)
    assert torch.equal(one[1], again[1])
