import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from earmark import audio
from earmark.core.audio import SAMPLE_RATE
from earmark.core.config import own_table
from earmark.core.errors import EarmarkError, InputError
from earmark.data import vad
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation.plots.rounds import rounds_plot
from earmark.models.encoder import load_encoder
from earmark.models.onnx_model import shipped_file
from earmark.training.adaptation import AdaptSettings, adapt, calibration, rounds
from earmark.training.adaptation.calibration import calibrate_like, match_thresholds
from earmark.training.adaptation.dataset import prepare
from earmark.training.adaptation.recipes import Start, choose_start, round_recipe, write_recipe
from earmark.training.recipe import read_any_recipe
from earmark.training.run.checkpoint import load_checkpoint

WORDS = {"rise": (200, 500, 1200), "fall": (1500, 600, 250), "bow": (300, 1500, 300)}
RECIPE = """
kind = "sequences"
[frames]
kind = "log_mel"
n_mels = 20
hop_s = 0.02
[encoder]
kind = "segment"
features = 20
dimension = 16
feed_forward = 16
[optimizer]
lr = 3e-3
"""
BRIEF = AdaptSettings(rounds=2, steps=4, checks=2, pairs=16, held_out=0.3, threads=1)


class Loudness:
    """A detector for which loud audio is speech."""

    def reset(self):
        pass

    def process_samples(self, samples):
        return float(np.abs(samples).max() > 0.02)


@pytest.fixture(autouse=True)
def _loudness(monkeypatch):
    monkeypatch.setattr(vad, "silero", Loudness)
    # Drawing takes longer than all else here.
    monkeypatch.setattr("earmark.training.mining.report.save", lambda _, path: path.touch())


@pytest.fixture(scope="module")
def talkers(tmp_path_factory, say):
    """A manifest of six voices, each of which says three words in two recordings."""
    folder = tmp_path_factory.mktemp("talkers")
    clips = []
    for voice in range(6):
        for take in range(2):
            waves = [say(*pitches, seconds=0.7, seed=7 * voice + take) for pitches in WORDS.values()]
            audio.write(folder / f"{voice}_{take}.wav", np.concatenate(waves))
            clips.append(Clip(f"{voice}_{take}.wav", speaker=f"voice{voice}"))
    return Manifest(tuple(clips), folder)


@pytest.fixture
def start(tmp_path):
    """From nothing, by a recipe that trains in no time."""
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return choose_start(None, path)


@pytest.fixture
def labeled(tmp_path, talkers):
    """The words of two voices, with their names."""
    clips = [
        Clip(str(talkers.folder / f"{voice}_0.wav"), 1.5 * place + 0.4, 1.5 * place + 1.1, f"voice{voice}", word)
        for voice in (0, 1)
        for place, word in enumerate(WORDS)
    ]
    write_manifest(Manifest(tuple(clips)), tmp_path / "labeled.tsv")
    return tmp_path / "labeled.tsv"


def test_whole_speakers_are_held_out_and_pauses_are_no_part_of_any_segment(talkers, tmp_path):
    material = prepare(talkers, tmp_path, share=0.3, seed=0)
    parts = [list(read_clips(part.segments, part.audio)[0]) for part in (material.learned, material.held_out)]
    learned, held_out = ({clip.speaker for clip in clips} for clips in parts)
    assert (material.unit, len(held_out), len(learned)) == ("speakers", 2, 4)
    assert not learned & held_out
    assert [len(clips) for clips in parts] == [material.learned.count, material.held_out.count]
    waves = {clip.path: audio.read(talkers.folder / clip.path) for clips in parts for clip in clips}
    edges = [waves[clip.path][round(clip.start_s * SAMPLE_RATE) :][:800] for clip in parts[0]]
    assert min(np.abs(edge).max() for edge in edges) > 0.02


def test_recordings_are_held_out_where_nobody_says_who_speaks(talkers, tmp_path):
    unknown = Manifest(tuple(Clip(clip.path) for clip in talkers), talkers.folder)
    material = prepare(unknown, tmp_path, share=0.25, seed=0)
    assert (material.unit, material.held_out.units, material.learned.units) == ("recordings", 3, 9)


def test_recordings_with_spaces_in_their_names_get_manifests(talkers, tmp_path):
    for clip in talkers:
        audio.write(tmp_path / f"a {clip.path}", audio.read(talkers.folder / clip.path))
    spaced = Manifest(tuple(Clip(f"a {clip.path}") for clip in talkers), tmp_path)
    material = prepare(spaced, tmp_path / "out", share=0.25, seed=0)
    assert material.learned.segments.suffix == ".parquet"
    clips, recordings = read_clips(material.learned.segments)
    assert all(recordings.locate(clip.path).is_file() for clip in clips)


def test_recordings_that_measure_teach_nothing(talkers, tmp_path):
    measured = talkers.folder / "3_1.wav"
    material = prepare(talkers, tmp_path, share=0.3, seed=0, without=frozenset({measured.resolve()}), has_labels=True)
    assert material.held_out is None
    assert "3_1.wav" not in {clip.path for clip in read_clips(material.learned.segments, talkers.folder)[0]}


def test_what_is_too_little_is_said(talkers, tmp_path):
    few = Manifest(talkers.clips[:1], talkers.folder)
    with pytest.raises(InputError, match="speech in 1 of its recordings, but 4 are needed"):
        prepare(few, tmp_path / "few", share=0.1, seed=0)
    audio.write(tmp_path / "silent.wav", np.zeros(2 * SAMPLE_RATE, np.float32))
    silent = Manifest((Clip("silent.wav"),), tmp_path)
    with pytest.raises(EarmarkError, match="no speech in 1 recordings: nobody speaks in them"):
        prepare(silent, tmp_path / "silent", share=0.1, seed=0)


@pytest.mark.slow
def test_rounds_go_on_where_they_were_stopped_to_the_same_bits(talkers, start, tmp_path):
    said = []

    def stop(line):
        said.append(line)
        if line.startswith("round 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(talkers, tmp_path / "one", start, BRIEF, device="cpu", say=stop)
    pairs = tmp_path / "one" / "round-1" / "pairs" / "results.json"
    before = pairs.stat().st_mtime_ns
    resumed = adapt(talkers, tmp_path / "one", start, BRIEF, device="cpu")
    assert pairs.stat().st_mtime_ns == before
    whole = adapt(talkers, tmp_path / "two", start, BRIEF, device="cpu")
    assert [one.numbers for one in resumed.rounds] == [one.numbers for one in whole.rounds]
    tensors = [load_checkpoint(one.checkpoint).tensors for one in (resumed, whole)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    # What the start's recipe and the best round measure is the same number of the same pairs.
    best = [whole.start, *(one.numbers for one in whole.rounds)][whole.kept]
    assert whole.kept == 0 or best["held_out_loss"] == load_checkpoint(whole.checkpoint).metrics["held_out_loss"]


def test_a_round_that_teaches_nothing_is_the_last_and_the_start_stays(talkers, start, labeled, tmp_path):
    still = BRIEF.model_copy(update={"lr": 1e-20, "anew": False, "rounds": 3})
    found = adapt(talkers, tmp_path / "out", start, still, validation=labeled, device="cpu")
    assert (found.watch, found.kept, len(found.rounds)) == ("map", 0, 1)
    assert found.rounds[0].numbers["map"] == pytest.approx(found.start["map"])
    init = load_checkpoint(tmp_path / "out" / "init" / "run" / "best.safetensors").tensors
    kept = load_checkpoint(found.checkpoint).tensors
    assert all(torch.equal(kept[name], init[name]) for name in init)


def test_whoever_adds_recordings_as_told_may_begin_in_the_same_folder(talkers, start, tmp_path):
    with pytest.raises(InputError, match="add recordings"):
        adapt(Manifest(talkers.clips[:1], talkers.folder), tmp_path / "out", start, BRIEF)
    assert adapt(talkers, tmp_path / "out", start, BRIEF.model_copy(update={"rounds": 1}), device="cpu").rounds


def test_a_start_or_labels_of_another_day_are_not_taken_for_these(talkers, labeled, tmp_path):
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"one")
    chosen = Start("start", {}, path, False, {})
    stamp = rounds._stamp(talkers, chosen, BRIEF, labeled)
    rounds.write_json(tmp_path / "adapt.json", stamp)
    rounds._check_own(tmp_path, stamp)
    path.write_bytes(b"two")
    with pytest.raises(InputError, match="adaptation of another start; name another --out"):
        rounds._check_own(tmp_path, rounds._stamp(talkers, chosen, BRIEF, labeled))
    path.write_bytes(b"one")
    labeled.write_text(labeled.read_text() + "\n")
    with pytest.raises(InputError, match="adaptation of another validation"):
        rounds._check_own(tmp_path, rounds._stamp(talkers, chosen, BRIEF, labeled))


def test_more_threads_may_go_on(talkers, start, tmp_path):
    brief = BRIEF.model_copy(update={"rounds": 1})
    adapt(talkers, tmp_path / "out", start, brief, device="cpu")
    before = torch.get_num_threads()
    try:
        assert adapt(talkers, tmp_path / "out", start, brief.model_copy(update={"threads": 2}), device="cpu").rounds
    finally:
        torch.set_num_threads(before)


def test_what_stands_beside_a_start_is_neither_taken_nor_written(tmp_path, monkeypatch):
    encoder = tmp_path / "best.safetensors"
    encoder.touch()
    encoder.with_suffix(".onnx").write_text("of another day")
    kind = SimpleNamespace(recipe={"encoder": {"kind": "stream"}})
    monkeypatch.setattr(rounds, "load_checkpoint", lambda _: kind)
    monkeypatch.setattr(rounds, "export", lambda given, out: out.write_text(given.name))
    own = SimpleNamespace(start=Start("best", {}, encoder, False, {}), out=tmp_path / "out")
    (tmp_path / "out").mkdir()
    miner = rounds._Adaptation._miner(own, encoder)
    assert (miner.parent, miner.read_text()) == (tmp_path / "out", "best.safetensors")
    assert encoder.with_suffix(".onnx").read_text() == "of another day"


def test_effects_of_a_recipe_happen_to_sections_and_not_to_pairs(talkers, tmp_path):
    path = tmp_path / "loud.toml"
    path.write_text(RECIPE + "[augment.noise]\nprobability = 1.0\n")
    found = adapt(talkers, tmp_path / "out", choose_start(None, path), BRIEF, device="cpu")
    assert found.rounds
    assert read_any_recipe(tmp_path / "out" / "init.toml").augment.is_active
    assert not read_any_recipe(tmp_path / "out" / "round-1.toml").augment.is_active


def test_another_corpus_in_the_same_folder_is_refused(talkers, start, tmp_path):
    brief = BRIEF.model_copy(update={"rounds": 1})
    adapt(talkers, tmp_path / "out", start, brief, device="cpu")
    with pytest.raises(InputError, match="holds an adaptation of another corpus"):
        adapt(Manifest(talkers.clips[:-1], talkers.folder), tmp_path / "out", start, brief, device="cpu")


def test_a_written_recipe_reads_back_as_it_was(start, tmp_path):
    data = {"folder": tmp_path / "frames", "pairs": tmp_path / 'a "b"\\c.txt', "held_out": tmp_path / "d.txt"}
    table = round_recipe(start, BRIEF, "ünï", data, tmp_path / "e.safetensors") | {"watch": "loss"}
    write_recipe(table, tmp_path / "round.toml", "round")
    recipe = read_any_recipe(tmp_path / "round.toml")
    assert (recipe.name, recipe.data.pairs, recipe.start.checkpoint) == (
        "ünï",
        data["pairs"],
        tmp_path / "e.safetensors",
    )
    assert (recipe.optimizer.steps, recipe.checkpoint_every, recipe.episodes.pairs) == (4, 2, 16)
    assert recipe.encoder.dimension == 16


def test_a_written_recipe_keeps_keys_with_dots_and_control_characters(tmp_path):
    table = {"optimizer": {"lr_scale": {"transformer.0": 0.1}}, "name": "a\x7fb", "start": {"checkpoint": None}}
    write_recipe(table, tmp_path / "round.toml", "round")
    found = own_table(tmp_path / "round.toml")
    assert found == table | {"kind": "sequences", "start": {}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tiny", None, "tower of its own"),
        (None, 'kind = "words"', "adapt takes a recipe of sequences"),
        (None, 'kind = "sequences"\n[encoder]\nfeature = 3', "did you mean 'features'"),
        ("nowhere.safetensors", None, "nowhere.safetensors"),
        (
            None,
            'kind = "sequences"\n[start]\ncheckpoint = "nowhere.safetensors"',
            "no file .*nowhere.safetensors; train",
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused(name, text, message, tmp_path):
    path = None
    if text is not None:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        choose_start(name, path)


def test_thresholds_follow_scores_that_are_moved_and_stretched():
    grid = np.linspace(0, 1, 501)
    before = np.round(1e4 * np.exp(-12 * grid))
    after = np.round(1e4 * np.exp(-12 * (grid - 0.1) / 0.8))
    wanted = [0.85, 0.6, 0.4]  # the first is reached by none
    assert match_thresholds(before, after, wanted) == pytest.approx([0.78, 0.58, 0.42], abs=0.02)


def test_an_encoder_that_was_not_changed_fires_from_the_same_scores_on_though_a_recording_is_broken(
    talkers, tmp_path, monkeypatch
):
    monkeypatch.setattr(calibration, "_KEYWORDS", 8)
    encoder = tmp_path / "same.onnx"
    shutil.copyfile(shipped_file("tiny"), encoder)
    spans = [(f"{voice}_{take}.wav", place) for place in range(3) for voice in range(6) for take in range(2)]
    sides = [Clip(path, 1.5 * place + 0.35, 1.5 * place + 1.15, path[0]) for path, place in spans]
    clips = [
        replace(side, label=f"{first} {second}")
        for first, one in enumerate(sides)
        for second, other in enumerate(sides[first + 1 :])
        if spans[first][1] == spans[first + 1 + second][1] and one.speaker != other.speaker
        for side in (one, other)
    ]
    write_manifest(Manifest(tuple(clips), talkers.folder), tmp_path / "pairs.parquet")
    (tmp_path / "broken.wav").write_text("no sound")
    sounds = [tmp_path / "broken.wav", *(talkers.folder / clip.path for clip in talkers.clips[::2])]
    found = calibrate_like(encoder, shipped_file("tiny"), tmp_path / "pairs.parquet", sounds)
    assert found.thresholds == pytest.approx(load_encoder("tiny").calibration.thresholds, abs=0.01)
    assert load_encoder(encoder).calibration == found


def test_the_same_few_scores_keep_their_thresholds():
    counts = np.repeat([200, 90, 40, 12, 7, 0], [100, 100, 100, 100, 60, 41]).astype(float)
    wanted = [0.95, 0.85, 0.7, 0.5]
    assert match_thresholds(counts, counts, wanted) == pytest.approx(wanted, abs=0.005)


def test_thresholds_of_too_few_scores_are_not_told():
    with pytest.raises(InputError, match="more recordings"):
        match_thresholds(np.zeros(501), np.zeros(501), [0.8, 0.5])


def test_the_picture_of_rounds_names_each_of_them():
    figure = rounds_plot([30.0, 32.0, 31.0], 1, ylabel="MAP (%)")
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["start", "round 1", "round 2"]
