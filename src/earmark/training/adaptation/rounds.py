"""Mining and training in turn, as long as what is learned measures better."""

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.core.errors import InputError
from earmark.core.files import read_json, write_json
from earmark.core.progress import Progress, no_progress
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Manifest
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.evaluation.segment_embeddings import SegmentEmbedder, segment_embedder
from earmark.models.encoder import load_encoder
from earmark.training import loop
from earmark.training.adaptation.calibration import calibrate_like
from earmark.training.adaptation.dataset import Material, Part, prepare
from earmark.training.adaptation.recipes import Start, init_recipe, round_recipe, write_recipe
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.export.encoder import export
from earmark.training.mining.mining import mine
from earmark.training.nn.encoders import StreamSettings
from earmark.training.recipe import read_any_recipe
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.run.distributed import Processes
from earmark.training.run.initialization import initialize_from
from earmark.training.sequences.recipe import SequenceRecipe

Table = dict[str, Any]
Say = Callable[[str], object]

_STAMP = "adapt.json"
"""What was begun in a folder."""


@dataclass(frozen=True)
class Round:
    """What a round came to.

    Attributes:
        numbers: what its encoder measures: `map` and `map_at_r`, or `held_out_loss`, or all of them.
        pairs: that were mined, with the start's encoder or the best before this round.
        coverage: share of the segments that have a neighbor.
        threshold: cosine from which on segments count as alike.
        minutes: that the round took.
        is_better: than all before it.
    """

    numbers: Mapping[str, float]
    pairs: int
    coverage: float
    threshold: float
    minutes: float
    is_better: bool


@dataclass(frozen=True)
class Adapted:
    """What an adaptation came to.

    Attributes:
        out: folder of all that was written.
        title: of the start.
        watch: `map` or `held_out_loss`.
        start: what the start measures.
        rounds: one after the other.
        kept: which round's encoder is the result; 0: the start's.
        checkpoint: the result; None where that is an encoder that came exported, unchanged.
        encoder: the result as .onnx; None where it cannot listen to streams, or is unchanged.
        material: what was learned from.
        commands: that repeat each step.
    """

    out: Path
    title: str
    watch: str
    start: Mapping[str, float]
    rounds: Sequence[Round]
    kept: int
    checkpoint: Path | None
    encoder: Path | None
    material: Material = field(repr=False)
    commands: Sequence[Sequence[str]] = field(repr=False)


def adapt(
    manifest: Manifest,
    out: Path,
    start: Start,
    settings: AdaptSettings,
    *,
    name: str = "adapted",
    validation: Path | None = None,
    validation_audio: Path | None = None,
    device: str | None = None,
    workers: int = 1,
    say: Say = lambda _: None,
    progress: Progress = no_progress,
) -> Adapted:
    """Adapt an encoder to recordings; started again with the same words, it goes on where it was stopped.

    All encoders are measured alike. With labels that is MAP. Without, it is the loss on one list of pairs: the
    start's encoder finds them once, among recordings that teach nothing. Losses of two lists could not be compared;
    and were each encoder asked about pairs of its own choice, one that finds everything alike would seem best.

    Args:
        manifest: of the recordings.
        out: folder for all that is written.
        start: from `choose_start`.
        settings: how many rounds, and how long.
        name: of the encoder.
        validation: labeled segments whose MAP decides, a list or manifest.
        validation_audio: folder that the paths of such a list start from.
        device: to train on; a GPU where there is one.
        workers: processes that look for speech.
        say: told a line about each step.
        progress: told how far a step is.

    Raises:
        InputError: too few recordings; broken labels; the folder holds another adaptation.
        EarmarkError: nobody speaks; the disk is full. What was finished stays.
    """
    out = out.resolve()
    measuring = _labeled(validation, validation_audio)
    stamp = _stamp(manifest, start, settings, validation)
    _check_own(out, stamp)
    if settings.threads:
        torch.set_num_threads(settings.threads)

    material = prepare(
        manifest,
        out,
        share=settings.held_out,
        seed=settings.seed,
        without=measuring,
        has_labels=validation is not None,
        workers=workers,
        progress=progress,
    )
    # Not before: whoever is told to add recordings may do so, and begin again in the same folder.
    write_json(out / _STAMP, stamp)
    say(_described(material))
    run = _Adaptation(out, start, settings, name, validation, validation_audio, device, material, say, progress)
    run.sounds = sorted({manifest.locate(clip).resolve() for clip in manifest})
    return run.go()


class _Adaptation:
    """Everything that the rounds share."""

    def __init__(
        self,
        out: Path,
        start: Start,
        settings: AdaptSettings,
        name: str,
        validation: Path | None,
        validation_audio: Path | None,
        device: str | None,
        material: Material,
        say: Say,
        progress: Progress,
    ) -> None:
        self.out, self.start, self.settings, self.name = out, start, settings, name
        self.device, self.material, self.say, self.progress = device, material, say, progress
        self.watch = "held_out_loss" if validation is None else "map"
        self.data: Table = {"folder": out / "frames"}
        if material.learned.audio is not None:
            self.data["audio"] = material.learned.audio.resolve()
        if validation is not None:
            self.data["validation"] = validation.resolve()
            if validation_audio is not None:
                self.data["validation_audio"] = validation_audio.resolve()
        self.commands: list[Sequence[str]] = []
        self.sounds: Sequence[Path] = ()

    def go(self) -> Adapted:
        """All rounds."""
        first = self.start.checkpoint or self._init()
        if self.material.held_out is not None:
            self.data["held_out"] = self._pairs(self._mine(self.material.held_out, first, "held-out"))
        best, kept = first, 0
        measured: list[Mapping[str, float]] = []
        rounds: list[Round] = []
        for number in range(1, self.settings.rounds + 1):
            done, checkpoint = self._round(number, best, measured)
            rounds.append(done)
            if done.is_better:
                best, kept = checkpoint, number
                measured.append(done.numbers)
            else:
                break
        return self._result(measured[0], rounds, best, kept)

    def _round(self, number: int, best: Path, measured: list[Mapping[str, float]]) -> tuple[Round, Path]:
        began = time.monotonic()
        folder, settings = self.out / f"round-{number}", self.settings
        pairs = self._mine(self.material.learned, best, f"round-{number}")
        found = read_json(pairs / "results.json")
        anew = self.start.anew if settings.anew is None else settings.anew
        data = {**self.data, "pairs": self._pairs(pairs)}
        table = round_recipe(self.start, settings, self.name, data, None if anew else best)
        recipe, checkpoint = self._trained(table, f"round-{number}")
        if not measured:
            measured.append(self._measured(recipe, best))
        numbers = load_checkpoint(checkpoint).metrics
        before = measured[-1]
        minutes = (time.monotonic() - began) / 60
        note = folder / "round.json"
        if note.exists():  # of a run before; what was done then took its time
            minutes = read_json(note)["minutes"]
        write_json(note, {"minutes": minutes, "numbers": numbers})
        done = Round(
            numbers,
            found["pairs"]["pairs"],
            found["coverage"],
            found["threshold"],
            minutes,
            recipe.cost(numbers) < recipe.cost(before),
        )
        self.say(
            f"round {number}: {done.pairs:,} pairs from cosine {done.threshold:.2f} on, of "
            f"{100 * done.coverage:.0f} % of the segments; {told(self.watch, before, numbers)}, "
            f"{'kept' if done.is_better else 'not kept'}; {minutes:.1f} min"
        )
        return done, checkpoint

    def _init(self) -> Path:
        """The first encoder, from sections in two tempos."""
        part, held_out = self.material.learned, self.material.held_out
        data: Table = {**self.data, "sections": part.sections}
        least = _least_sections(part)
        if held_out is not None:
            data["held_out"] = held_out.sections
            least = min(least, _least_sections(held_out))
        _, checkpoint = self._trained(init_recipe(self.start, self.settings, self.name, data, least), "init")
        numbers = load_checkpoint(checkpoint).metrics
        self.say(f"from sections in two tempos: {told(self.watch, numbers)}")
        return checkpoint

    def _mine(self, part: Part, encoder: Path, name: str) -> Path:
        """The folder of the pairs that an encoder finds."""
        pairs, settings = self.out / name / "pairs", self.settings.mining()
        audio = ["--audio", str(part.audio)] if part.audio else []
        given = [
            "--relation",
            "across",
            *(["--mutual"] if settings.mutual else []),
            "--coverage",
            f"{settings.coverage:g}",
        ]
        given += ["--most-segments", str(settings.most_segments), "--seed", str(settings.seed)]
        miner = self._miner(encoder)
        command = ["earmark", "mine", str(part.segments), *audio, "--encoder", str(miner), "--out", str(pairs), *given]
        self.commands.append(command)
        if not (pairs / "results.json").exists():
            try:
                mine(
                    part.segments,
                    _embedder(miner),
                    pairs,
                    settings,
                    audio=part.audio,
                    command=command,
                    progress=lambda stage, done, total: self.progress(f"{name}: {stage}", done, total),
                )
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        return pairs

    def _pairs(self, folder: Path) -> Path:
        # As lists the pairs of all rounds start from one folder, and share its frames.
        return folder / ("pairs.txt" if "audio" in self.data else "pairs.parquet")

    def _miner(self, encoder: Path) -> Path:
        """A file that embeds: encoders of streams are exported, so that they hear as they will in use."""
        if encoder.suffix == ".onnx":
            return encoder
        recipe = load_checkpoint(encoder).recipe
        if recipe["encoder"]["kind"] != StreamSettings.model_fields["kind"].default:
            return encoder
        # What stands beside a start is somebody else's, and perhaps of another day.
        exported = self.out / "start.onnx" if encoder == self.start.checkpoint else encoder.with_suffix(".onnx")
        if not exported.exists():
            export(encoder, exported)
        return exported

    def _trained(self, table: Table, name: str) -> tuple[SequenceRecipe, Path]:
        """The recipe as `earmark train` would read it, and the best checkpoint."""
        table |= {"watch": "map" if self.watch == "map" else "loss"}
        place, run = self.out / f"{name}.toml", self.out / name / "run"
        write_recipe(table, place, f"{name} of an adaptation; again: earmark train {place.name}")
        self.commands.append(["earmark", "train", str(place), "--run", str(run)])
        recipe = read_any_recipe(place)
        assert isinstance(recipe, SequenceRecipe)
        return recipe, loop.train(recipe, run, device=self.device)

    def _measured(self, recipe: SequenceRecipe, checkpoint: Path) -> dict[str, float]:
        """What the start measures, as a round's encoder is measured."""
        place = self.out / "start.json"
        if not place.exists():
            task = loop.build_task(recipe, _device(self.device), Processes())
            loss = recipe.loss.build(classes=0, dimension=recipe.encoder.dimension)
            initialize_from(checkpoint, task.model, loss, recipe.loss.kind, ())
            write_json(place, task.validate())
        return dict(read_json(place))

    def _result(self, start: Mapping[str, float], rounds: Sequence[Round], best: Path, kept: int) -> Adapted:
        checkpoint = encoder = None
        if best.suffix == ".safetensors":
            checkpoint = self.out / "best.safetensors"
            partial_copy = checkpoint.with_suffix(".partial")
            shutil.copyfile(best, partial_copy)
            partial_copy.replace(checkpoint)
            if self._miner(best) != best:
                encoder = self.out / f"{self.name}.onnx"
                export(checkpoint, encoder, card={"adapted": {"start": self.start.title, "round": kept}})
                self._calibrate(encoder)
        return Adapted(
            self.out,
            self.start.title,
            self.watch,
            start,
            rounds,
            kept,
            checkpoint,
            encoder,
            self.material,
            self.commands,
        )

    def _calibrate(self, encoder: Path) -> None:
        before = self.start.checkpoint
        reason = "its start is not calibrated itself"
        if before is not None and before.suffix == ".onnx":
            try:
                found = calibrate_like(encoder, before, self._unlearned(), self.sounds, seed=self.settings.seed)
            except InputError as error:
                reason = str(error)
            else:
                hours, like = found.details["keyword_hours"], found.details["as_often_as"]
                self.say(f"calibrated on {hours:g} keyword-hours: it fires as often as {like} did")
                return
        self.say(f"not calibrated, so that it can search but not enroll keywords: {reason}")

    def _unlearned(self) -> Path:
        """Pairs to enroll keywords from: those held out, or where none are, those that the start's encoder found."""
        part = "round-1" if self.material.held_out is None else "held-out"
        return self.out / part / "pairs" / "pairs.parquet"


def told(watch: str, *steps: Mapping[str, float]) -> str:
    """A number and what became of it, in words: `MAP 31.0 → 33.2 %`.

    >>> told("held_out_loss", {"held_out_loss": 3.25}, {"held_out_loss": 3.0})
    'held-out loss 3.250 → 3.000'
    """
    values = [numbers.get(watch, math.nan) for numbers in steps]
    if watch == "map":
        return "MAP " + " → ".join(f"{100 * value:.1f}" for value in values) + " %"
    return "held-out loss " + " → ".join(f"{value:.3f}" for value in values)


def _described(material: Material) -> str:
    held_out = f", {material.held_out.units} of them held out" if material.held_out else ""
    units = material.learned.units + (material.held_out.units if material.held_out else 0)
    whose = f"{units} {material.unit}{held_out}"
    if material.unit != "recordings":
        whose = f"{material.recordings} recordings of {whose}"
    return f"{material.speech_s / 60:.1f} min of speech in {whose}; {material.learned.count:,} segments to mine"


def _embedder(path: Path) -> SegmentEmbedder:
    if path.suffix == ".onnx":
        return segment_embedder(EncoderEmbedder(load_encoder(path)))
    return segment_embedder(load_embedder(path))


def _least_sections(part: Part) -> int:
    """How many sections a batch can ask of a speaker, so that half of them are still heard; as published if it can."""
    counts: dict[str, int] = {}
    for section in read_sections(part.sections):
        if section.end_s - section.start_s >= 0.4:
            counts[section.speaker or section.path] = counts.get(section.speaker or section.path, 0) + 1
    sizes = np.array([*counts.values()] or [1])
    return next((least for least in (20, 10, 5, 2) if sizes[sizes >= least].sum() >= sizes.sum() / 2), 1)


def _labeled(validation: Path | None, audio: Path | None) -> frozenset[Path]:
    """The recordings that measure."""
    if validation is None:
        return frozenset()
    clips, recordings = read_clips(validation, audio)
    return frozenset(recordings.locate(path).resolve() for path in {clip.path for clip in clips})


def _stamp(manifest: Manifest, start: Start, settings: AdaptSettings, validation: Path | None) -> Table:
    """What tells an adaptation from others."""
    return {
        "corpus": _digest(repr((str(manifest.folder.resolve()), manifest.clips)).encode()),
        "start": [start.title, _content(start.checkpoint), repr(start.table)],
        "validation": _content(validation),
        # More rounds may be asked for later.
        "settings": settings.model_dump(exclude={"rounds", "threads"}),
    }


def _check_own(out: Path, stamp: Table) -> None:
    """Refuse a folder in which another adaptation was begun."""
    if not (out / _STAMP).exists():
        return
    found = read_json(out / _STAMP)
    for key, value in stamp.items():
        if found.get(key) != value:
            raise InputError(f"{out}: holds an adaptation of another {key}; name another --out, or delete it")


def _content(path: Path | None) -> str:
    """Changes with what stands in a file."""
    return "" if path is None else _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _device(name: str | None) -> torch.device:
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
