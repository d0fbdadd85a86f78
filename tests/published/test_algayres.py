"""Algayres et al. 2022: what their page says can be done, in small; and recipes that say what they published."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from earmark import audio
from earmark.cli import app
from earmark.data.alignment import forced as align
from earmark.data.alignment.forced import Alignment, Phone, Word
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segment_pairs import read_segment_pairs
from earmark.data.lists.segments import SEGMENTS, read_segments
from earmark.data.manifest import Manifest, read_manifest, write_manifest
from earmark.data.segments.grid import grid_segments
from earmark.evaluation import plots
from earmark.training.mining import report
from earmark.training.recipe import read_any_recipe
from earmark.training.run.optimizer import learning_rate
from earmark.training.sequences.networks import build_network
from tests.training.sequences.frames.conftest import TINY

FOLDER = Path(__file__).parents[2] / "recipes" / "algayres"
AUDIO = Path("data/algayres/audio")
RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "speechocean762" / "manifest.tsv"
SENTENCES = {
    "train-clean-5/1/10": ["RISE FALL BOW FALL", "FALL BOW RISE BOW", "BOW RISE FALL RISE"],
    "train-clean-5/2/20": ["FALL RISE BOW RISE", "RISE BOW FALL BOW", "BOW FALL RISE FALL"],
    "dev-clean-2/3/30": ["RISE BOW FALL RISE", "FALL RISE BOW FALL"],
    "dev-clean-2/4/40": ["BOW FALL RISE BOW", "RISE FALL BOW RISE"],
}
PHONES = {"RISE": ["R", "AY", "Z"], "FALL": ["F", "AO", "L"], "BOW": ["B", "OW"]}
PARAMETERS = {"norm": 1_536, "convolution": 3_146_752, "dropout": 0, "transformer": 3_152_384, "head": 525_312}
WORD_S, BEFORE_S = 0.4, 0.3
SMALL = [
    "--device", "cpu", "--set", "encoder.dimension=16", "--set", "encoder.feed_forward=24", "--set", "threads=1",
    "--set", "optimizer.steps=2", "--set", "checkpoint_every=1",
]  # fmt: skip
SECTIONS = ["--set", "episodes.least_sections=2", "--set", "episodes.segments=40"]
MORE = {
    "earmark prepare vad": ["--threshold", "0.02", "--offset-threshold", "0.01", "--padding", "0", "--workers", "1"],
    "earmark mine": ["--dimension", "8"],
    "earmark train": SMALL,
    "earmark train recipes/algayres/init.toml": SECTIONS,
}


def aligned(text):
    """Where the words and phones of a sentence are."""
    return Alignment(tuple(spoken(text)))


def spoken(text):
    for number, word in enumerate(text.split()):
        start_s, names = BEFORE_S + number * WORD_S, PHONES[word]
        edges = np.linspace(start_s, start_s + WORD_S, len(names) + 1).round(3).tolist()
        phones = tuple(Phone(*phone) for phone in zip(names, edges[:-1], edges[1:], strict=True))
        yield Word(word.lower(), edges[0], edges[-1], phones)


@pytest.fixture
def corpus(say, monkeypatch, loud_is_speech):
    """Makes sentences of gliding tones in the layout of LibriSpeech, which a stand-in aligns and another hears.

    Pictures, which have tests of their own, are not drawn.
    """
    for name in ("similarity_plot", "coverage_plot"):
        monkeypatch.setattr(report, name, lambda *_: None)
    monkeypatch.setattr(plots, "average_precision_plot", lambda *_, **__: None)
    for room in (report, plots):
        monkeypatch.setattr(room, "save", lambda _, path: path.touch())
    loud_is_speech()
    monkeypatch.setattr(align, "align_sentences", lambda clips, *_, **__: [aligned(clip.text) for clip in clips])

    def make():
        for place, texts in SENTENCES.items():
            folder = AUDIO / place
            folder.mkdir(parents=True)
            speaker, chapter = folder.parts[-2:]
            lines = []
            for number, text in enumerate(texts):
                name = f"{speaker}-{chapter}-{number:04}"
                takes = [
                    say(word.lower(), seconds=WORD_S, before_s=0, after_s=0, seed=int(speaker) + number)
                    for word in text.split()
                ]
                silence = np.zeros(round(BEFORE_S * audio.SAMPLE_RATE), np.float32)
                audio.write(folder / f"{name}.flac", np.concatenate([silence, *takes, silence]))
                lines.append(f"{name} {text}\n")
            (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))

    return make


@pytest.fixture
def wav2vec2(tmp_path):
    """The folder of a small random Wav2Vec2Model."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path / "wav2vec2"
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**TINY)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def recipe(name):
    return read_any_recipe(FOLDER / f"{name}.toml")


def measured(folder):
    """Rankings of each encoder."""
    document = json.loads((Path("runs") / folder / "results.json").read_text())
    return {system["encoder"]["name"]: system["rankings"] for system in document["results"]}


@pytest.mark.slow
def test_the_worked_example_runs_and_judges_by_other_speakers(follow, corpus, commands_of):
    corpus()
    follow(commands_of("algayres", "Try it"), MORE)
    found = measured("map-dev-ngrams")
    assert list(found) == ["log-mel-mean", "algayres-init", "algayres-pairs"]
    for rankings in found.values():
        assert "published" not in rankings
        assert all(0 < rankings["across"][name]["value"] <= 1 for name in ("map", "map_at_r"))
    heard = {section.speaker for section in read_sections(Path("data/algayres/sections.txt"))}
    judged = {segment.section.speaker for segment in read_segments(Path("data/algayres/dev-ngrams.txt"))}
    assert (heard, judged) == ({"1", "2"}, {"3", "4"})


@pytest.fixture
def full_size(corpus, commands_of, wav2vec2):
    """The commands of full size but `adapt`, which is tested elsewhere, and what makes them small."""
    corpus()
    for place, texts in SENTENCES.items():
        for number, text in enumerate(texts):
            _write_grid(Path("data/algayres/alignments"), f"{'-'.join(place.split('/')[1:])}-{number:04}", text)
    lines = [line for line in commands_of("algayres", "Everything, at full size") if "adapt" not in line]
    frames = [f"frames.model={wav2vec2}", "frames.layer=2", "encoder.features=16"]
    little = [word for setting in frames for word in ("--set", setting)]
    return lines, MORE | {"earmark train": [*SMALL, *little]}


@pytest.mark.slow
def test_the_commands_of_full_size_run_with_little_of_everything(follow, full_size):
    lines, more = full_size
    follow(lines, more)
    for name in ("init", "pairs", "gold", "unlabeled"):
        assert Path(f"runs/algayres-{name}/best.safetensors").is_file()
    logged = Path("runs/algayres-unlabeled/log.jsonl").read_text().splitlines()
    assert all("held_out_loss" in json.loads(line) for line in logged)
    for rankings in measured("map-dev-ngrams").values():
        assert rankings["published"]["map"]["value"] > rankings["all"]["map"]["value"]
    listed = list(read_segments(Path("data/algayres/dev-ngrams.txt")))
    with np.load("data/algayres/dev-ngrams.npz") as dumped:
        assert dumped["vectors"].shape == (len(listed), 16)
        assert dumped["labels"].tolist() == [segment.label for segment in listed]
        np.testing.assert_allclose(dumped["start_s"], [segment.start_s for segment in listed])


def test_segments_of_the_grid_take_the_labels_of_an_alignment(follow, full_size):
    lines, more = full_size
    follow([line for line in lines if re.match("earmark prepare (librispeech|vad|segments)|.*--segments ", line)], more)
    every = {(s.section.path, s.start_s, s.end_s) for s in read_segments(Path("data/algayres/segments.txt"))}
    labeled = list(read_segments(Path("data/algayres/train-ngrams.txt")))
    assert {(s.section.path, s.start_s, s.end_s) for s in labeled} < every
    for segment in labeled:
        place, number = segment.section.path.rsplit("/", 1)[0], int(segment.section.path[-9:-5])
        said = [phone for word in spoken(SENTENCES[place][number]) for phone in word.phones]
        middles = [(phone.start_s + phone.end_s) / 2 for phone in said]
        inside = [phone.text for phone, at in zip(said, middles, strict=True) if segment.start_s <= at < segment.end_s]
        assert segment.label == ",".join(inside)


def test_lists_look_as_the_page_shows_them(tmp_path):
    text = (FOLDER.parents[1] / "docs" / "published" / "algayres.md").read_text(encoding="utf-8")
    sections, segments, ngrams, pairs = (
        match.splitlines() for match in re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    )
    for name, lines in [("sections", sections), ("segments", segments), ("ngrams", ngrams), ("pairs", pairs)]:
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (section,) = read_sections(tmp_path / "sections.txt")
    grid = [*grid_segments([section])]
    assert [*map(SEGMENTS.format, grid[: len(segments)])] == segments
    assert all(segment.label.count(",") == 2 for segment in read_segments(tmp_path / "ngrams.txt"))
    (pair,) = read_segment_pairs(tmp_path / "pairs.txt")
    assert pair.first.speaker != pair.second.speaker


@pytest.mark.corpora
@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings of speechocean762 are absent")
def test_ngrams_of_real_sentences_lie_in_the_sections_that_are_heard(tmp_path):
    spoken_by = read_manifest(RECORDINGS)
    sentences = [replace(clip, text=clip.label, label="") for clip in spoken_by.clips[:3]]
    manifest, listed = tmp_path / "manifest.parquet", tmp_path / "ngrams.txt"
    write_manifest(Manifest(tuple(sentences), spoken_by.folder), manifest)
    sections = tmp_path / "sections.txt"
    alone = ["--workers", "1"]
    for words in (
        ["vad", manifest, "--out", sections],
        ["ngrams", manifest, "--n", "3-5", "--sections", sections, "--out", listed],
    ):
        result = CliRunner().invoke(app, ["prepare", *map(str, words), *alone], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    heard = {section.path: section for section in read_sections(sections)}
    ngrams = list(read_segments(listed))
    assert len(ngrams) > 20
    assert all(heard[ngram.section.path].holds(ngram.start_s, ngram.end_s) for ngram in ngrams)
    assert {ngram.label.count(",") for ngram in ngrams} == {2, 3, 4}


@pytest.mark.parametrize(
    ("name", "every", "epochs", "patience"), [("init", 200, 75, 2), ("pairs", 1000, 100, 1), ("gold", 1000, 60, 5)]
)
def test_a_recipe_trains_the_published_network_as_published(name, every, epochs, patience):
    found = recipe(name)
    assert found.name == f"algayres-{name}"
    network = build_network(found.encoder, 768)
    sizes = {part: sum(map(torch.numel, module.parameters())) for part, module in network.named_children()}
    assert sizes == PARAMETERS
    assert sum(sizes.values()) == 6_825_984
    assert (found.frames.kind, found.frames.layer, found.loss.temperature) == ("wav2vec2", 8, 0.15)
    optimizer = found.optimizer
    assert (optimizer.kind, optimizer.lr, optimizer.weight_decay, optimizer.clip_norm) == ("adam", 1e-4, 0, 0)
    assert {learning_rate(step, optimizer) for step in (0, 1, optimizer.steps - 1)} == {1e-4}
    assert (found.checkpoint_every, optimizer.steps, found.stop_after) == (every, every * epochs, patience)
    assert (found.watch, found.start.checkpoint, found.augment.is_active) == ("map", None, False)


def test_batches_are_the_published_ones():
    sections, pairs, gold = (recipe(name).episodes for name in ("init", "pairs", "gold"))
    assert (sections.segments, sections.tempo, sections.seconds) == (250, (0.5, 1.8), 20)
    assert (sections.most_sections, sections.least_sections, sections.shortest_s) == (20, 20, 1.2)
    assert (sections.step_s, sections.least_s, sections.longest_s) == (0.16, 0.16, 0.96)
    assert (pairs.pairs, pairs.same_file, gold.labels) == (256, False, 256)
    context = recipe("init").context
    assert (context.context_s, context.longest_s, context.shortest_s) == (5, 20, 0.04)


def _write_grid(folder, name, text):
    """A TextGrid in its short form."""
    words = [*spoken(text)]
    tiers = {"words": words, "phones": [phone for word in words for phone in word.phones]}
    end_s = words[-1].end_s
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", 0, end_s, "<exists>", len(tiers)]
    for tier, intervals in tiers.items():
        lines += ['"IntervalTier"', f'"{tier}"', 0, end_s, len(intervals)]
        lines += [value for part in intervals for value in (part.start_s, part.end_s, f'"{part.text}"')]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.TextGrid").write_text("\n".join(map(str, lines)) + "\n")
