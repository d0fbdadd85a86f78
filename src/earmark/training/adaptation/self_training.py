"""Self-training: rounds of mining and training, until the validation does not improve."""

import hashlib
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from earmark.core.config import Table
from earmark.core.errors import InputError
from earmark.core.files import atomic_path, read_json
from earmark.core.progress import Progress, no_progress, within
from earmark.core.workspace import Workspace
from earmark.data.lists.sections import read_sections
from earmark.data.lists.segments import read_clips
from earmark.data.manifest import Manifest
from earmark.evaluation.embedders import EncoderEmbedder
from earmark.evaluation.segment_embeddings import SegmentEmbedder, segment_embedder
from earmark.models.calibration import Calibration
from earmark.models.encoder import load_encoder
from earmark.training import loop
from earmark.training.adaptation.calibration import calibrate_like
from earmark.training.adaptation.dataset import Dataset, DatasetPart, prepare
from earmark.training.adaptation.initialization import Initialization
from earmark.training.adaptation.recipes import AdaptationRecipes, write_recipe
from earmark.training.adaptation.settings import AdaptSettings
from earmark.training.export.checkpoint_embedder import load_embedder
from earmark.training.export.encoder import export
from earmark.training.mining.mining import mine
from earmark.training.nn.encoders import StreamSettings
from earmark.training.run.checkpoint import load_checkpoint
from earmark.training.run.distributed import Processes, find_device
from earmark.training.run.initialization import initialize_from
from earmark.training.sequences.recipe import SequenceRecipe

STAMP = "adapt.json"
"""Name of the file with the stamp of an adaptation's folder."""

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Round:
    """The result of one round of mining pairs and training on them.

    Attributes:
        number: number of the round, from 1.
        numbers: metrics of the round's encoder: `map` and `map_at_r`, or `held_out_loss`, or all of them.
        before: metrics of the best encoder of earlier rounds.
        pairs: number of mined pairs.
        coverage: share of the segments that have a neighbor.
        threshold: minimum cosine of a pair.
        minutes: duration of the round.
        is_better: whether the round's encoder is better than all earlier ones.
    """

    number: int
    numbers: Metrics
    before: Metrics
    pairs: int
    coverage: float
    threshold: float
    minutes: float
    is_better: bool


@dataclass(frozen=True)
class AdaptationResult:
    """The result of an adaptation.

    Attributes:
        out: folder of all files.
        initialization: name of the initialization.
        watch: metric that selects the best encoder, `map` or `held_out_loss`.
        start: metrics of the initialization.
        rounds: all rounds.
        kept: number of the round whose encoder is the result; 0 for the initialization.
        checkpoint: checkpoint of the result; None if the result is an exported encoder that no round improved.
        encoder: the result as .onnx; None if the encoder does not run on streams or no round improved it.
        calibration: calibration of `encoder`.
        uncalibrated: reason why `encoder` has no calibration.
        dataset: the dataset of the adaptation.
        commands: the command lines that repeat each step.
    """

    out: Path
    initialization: str
    watch: str
    start: Metrics
    rounds: Sequence[Round]
    kept: int
    checkpoint: Path | None
    encoder: Path | None
    calibration: Calibration | None
    uncalibrated: str
    dataset: Dataset = field(repr=False)
    commands: Sequence[Sequence[str]] = field(repr=False)


class SelfTraining:
    """An adaptation in steps: the constructor finds the speech, `rounds` mines and trains, `result` writes the encoder.

    An interrupted adaptation resumes when it is started again with the same arguments.

    All encoders are validated on the same data. With labels, the metric is MAP. Without labels, it is the loss on a
    list of pairs that the initialization mines once in held-out recordings. Encoders do not mine their own lists for
    validation, because an encoder to which all segments are similar would then have the lowest loss.

    Args:
        manifest: the recordings.
        out: folder of all files.
        initialization: from `choose_initialization`.
        settings: settings of the rounds.
        name: name of the encoder.
        validation: list or manifest of labeled segments, for validation by MAP; None for the held-out loss.
        validation_audio: folder that the paths in the validation list start from.
        device: torch device; a GPU if there is one.
        workers: number of processes that search for speech.
        progress: counts the items of each stage.

    Raises:
        InputError: there are too few recordings; the validation list cannot be read; or the folder has another
            adaptation.
        EarmarkError: the recordings have no speech, or the disk is full; finished results are kept.
    """

    def __init__(
        self,
        manifest: Manifest,
        out: Path,
        initialization: Initialization,
        settings: AdaptSettings | None = None,
        *,
        name: str = "adapted",
        validation: Path | None = None,
        validation_audio: Path | None = None,
        device: str | None = None,
        workers: int = 1,
        progress: Progress = no_progress,
    ) -> None:
        settings = settings or AdaptSettings()
        self.out, self.initialization, self.settings = out.resolve(), initialization, settings
        self.name, self.device, self.progress = name, device, progress
        self._work = Workspace(self.out, _stamp(manifest, initialization, settings, validation), name=STAMP)
        self._work.check()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.dataset = prepare(
            manifest,
            self.out,
            share=settings.held_out,
            seed=settings.seed,
            without=_labeled_recordings(validation, validation_audio),
            has_labels=validation is not None,
            workers=workers,
            progress=progress,
        )
        # The folder is stamped after the dataset: after an error, the user may add recordings and use the folder again.
        self._work.open()
        self._recordings = sorted({manifest.locate(clip).resolve() for clip in manifest})
        self._data = self._common_data(validation, validation_audio)
        self._validates_map = validation is not None
        self._recipes = AdaptationRecipes(initialization, settings, name, "map" if self._validates_map else "loss")
        self._commands: list[Sequence[str]] = []
        self._best: Path | None = initialization.checkpoint
        self._metrics: list[Metrics] = []  # of the initialization, and of each round that is better
        self._rounds: list[Round] = []

    @property
    def watch(self) -> str:
        """Name of the metric that selects the best encoder: `map` with labeled segments, otherwise `held_out_loss`."""
        return "map" if self._validates_map else "held_out_loss"

    def initialize(self) -> Metrics | None:
        """Train the first encoder on sections in two tempos, if the initialization has no encoder.

        Returns:
            Metrics of the first encoder; None if the initialization has an encoder.
        """
        if self._best is not None:
            return None
        part, held_out = self.dataset.training, self.dataset.held_out
        data: Table = {**self._data, "sections": part.sections}
        least = _least_sections(part)
        if held_out is not None:
            data["held_out"] = held_out.sections
            least = min(least, _least_sections(held_out))
        recipe = self._recipes.sections(data, least)
        self._best = self._train(recipe, "init")
        return load_checkpoint(self._best).metrics

    def rounds(self) -> Iterator[Round]:
        """Mine pairs and train on them in rounds, and yield each finished round.

        The last round is the first one that does not improve the metric `watch`, or the last of the settings.
        """
        self.initialize()
        assert self._best is not None
        if self.dataset.held_out is not None:
            self._data["held_out"] = self._pairs_file(self._mine(self.dataset.held_out, self._best, "held-out"))
        for number in range(1, self.settings.rounds + 1):
            finished, checkpoint = self._round(number, self._best)
            self._rounds.append(finished)
            if finished.is_better:
                self._best = checkpoint
                self._metrics.append(finished.numbers)
            yield finished
            if not finished.is_better:
                return

    def result(self) -> AdaptationResult:
        """Write the best encoder of all rounds, calibrate it, and describe the adaptation; call it after `rounds`."""
        checkpoint = encoder = calibration = None
        reason = ""
        assert self._best is not None, "after all rounds"
        kept = len(self._metrics) - 1
        if self._best.suffix == ".safetensors":
            checkpoint = self.out / "best.safetensors"
            with atomic_path(checkpoint) as draft:
                shutil.copyfile(self._best, draft)
            if self._exported(self._best) != self._best:
                encoder = self.out / f"{self.name}.onnx"
                export(checkpoint, encoder, card={"adapted": {"start": self.initialization.name, "round": kept}})
                calibration, reason = self._calibrate(encoder)
        return AdaptationResult(
            self.out,
            self.initialization.name,
            self.watch,
            self._metrics[0],
            self._rounds,
            kept,
            checkpoint,
            encoder,
            calibration,
            reason,
            self.dataset,
            self._commands,
        )

    def _common_data(self, validation: Path | None, validation_audio: Path | None) -> Table:
        """Make the keys of the table `data` that are the same in all recipes of the adaptation.

        Args:
            validation: list of labeled segments, or None.
            validation_audio: folder that the paths in this list start from, or None.
        """
        data: Table = {"folder": self.out / "frames"}
        if self.dataset.training.audio is not None:
            data["audio"] = self.dataset.training.audio.resolve()
        if validation is not None:
            data["validation"] = validation.resolve()
            if validation_audio is not None:
                data["validation_audio"] = validation_audio.resolve()
        return data

    def _round(self, number: int, best: Path) -> tuple[Round, Path]:
        """Mine pairs with the best encoder so far, and train on them.

        Returns:
            The result of the round, and the path of its best checkpoint.
        """
        began = time.monotonic()
        name = f"round-{number}"
        pairs = self._mine(self.dataset.training, best, name)
        mined = read_json(pairs / "results.json")
        is_random = (
            self.initialization.from_scratch if self.settings.from_scratch is None else self.settings.from_scratch
        )
        data = {**self._data, "pairs": self._pairs_file(pairs)}
        weights = None if is_random else best
        recipe = self._recipes.round(data, weights)
        checkpoint = self._train(recipe, name)
        if not self._metrics:
            self._metrics.append(self._work.result("start", lambda: self._validate(recipe, best)))
        numbers, before = load_checkpoint(checkpoint).metrics, self._metrics[-1]
        # Stored results keep the minutes of the run that computed them.
        done = self._work.result(
            f"{name}/round", lambda: {"minutes": (time.monotonic() - began) / 60, "numbers": numbers}
        )
        finished = Round(
            number,
            numbers,
            before,
            mined["pairs"]["pairs"],
            mined["coverage"],
            mined["threshold"],
            done["minutes"],
            recipe.cost(numbers) < recipe.cost(before),
        )
        return finished, checkpoint

    def _mine(self, part: DatasetPart, encoder: Path, name: str) -> Path:
        """Mine pairs among the segments of a part with an encoder, and return the folder `NAME/pairs` of the result."""
        pairs, settings, miner = self.out / name / "pairs", self.settings.mining(), self._exported(encoder)
        command = ["earmark", "mine", str(part.segments), *(["--audio", str(part.audio)] if part.audio else [])]
        command += ["--encoder", str(miner), "--out", str(pairs), "--relation", settings.relation]
        command += ["--mutual"] if settings.mutual else []
        command += ["--coverage", f"{settings.coverage:g}"]
        command += ["--most-segments", str(settings.most_segments), "--seed", str(settings.seed)]
        self._commands.append(command)
        if not (pairs / "results.json").exists():
            progress = within(name, self.progress)
            try:
                mine(
                    part.segments,
                    _embedder(miner),
                    pairs,
                    settings,
                    audio=part.audio,
                    command=command,
                    progress=progress,
                )
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        return pairs

    def _pairs_file(self, folder: Path) -> Path:
        # The paths in lists start from the same folder in all rounds, so that rounds share stored frames.
        return folder / ("pairs.txt" if "audio" in self._data else "pairs.parquet")

    def _exported(self, encoder: Path) -> Path:
        """Return an encoder file for mining: a stream encoder's checkpoint is exported to .onnx, which runs faster.

        Files of other encoders and exported encoders are returned unchanged.
        """
        if encoder.suffix == ".onnx":
            return encoder
        recipe = load_checkpoint(encoder).recipe
        if recipe["encoder"]["kind"] != StreamSettings.model_fields["kind"].default:
            return encoder
        # Nothing is written beside the user's own checkpoint, and an .onnx file there may be older.
        is_users = encoder == self.initialization.checkpoint
        exported = self.out / "start.onnx" if is_users else encoder.with_suffix(".onnx")
        if not exported.exists():
            export(encoder, exported)
        return exported

    def _train(self, recipe: SequenceRecipe, name: str) -> Path:
        """Train an encoder in the folder `NAME/run`, and return the path of the checkpoint that the recipe chooses.

        The recipe is also written to `NAME.toml`, so that the user can repeat the training.
        """
        file, run = self.out / f"{name}.toml", self.out / name / "run"
        write_recipe(recipe, file, f"{name} of an adaptation; to repeat it: earmark train {file.name}")
        self._commands.append(["earmark", "train", str(file), "--run", str(run)])
        return loop.train(recipe, run, device=self.device, progress=within(name, self.progress))

    def _validate(self, recipe: SequenceRecipe, checkpoint: Path) -> dict[str, float]:
        """Compute the metrics of a checkpoint or exported encoder on the validation data of a recipe."""
        task = loop.build_task(recipe, find_device(self.device), Processes())
        loss = recipe.loss.build(classes=0, dimension=recipe.encoder.dimension)
        initialize_from(checkpoint, task.model, loss, recipe.loss.kind, ())
        return task.validate()

    def _calibrate(self, encoder: Path) -> tuple[Calibration | None, str]:
        """Calibrate the encoder (.onnx) of the best round.

        Returns:
            The calibration and an empty text; or None and the reason why the encoder cannot be calibrated.
        """
        before = self.initialization.checkpoint
        if before is None or before.suffix != ".onnx":
            return None, "the encoder before the adaptation has no calibration"
        # Keywords come from held-out pairs; without any, from pairs that the initialization mined.
        part = "round-1" if self.dataset.held_out is None else "held-out"
        pairs = self.out / part / "pairs" / "pairs.parquet"
        try:
            found = calibrate_like(
                encoder, before, pairs, self._recordings, seed=self.settings.seed, progress=self.progress
            )
        except InputError as error:
            return None, str(error)
        return found, ""


def metric_text(watch: str, *steps: Metrics) -> str:
    """Format the values of a metric before and after a step: `MAP 31.0 → 33.2 %`.

    >>> metric_text("held_out_loss", {"held_out_loss": 3.25}, {"held_out_loss": 3.0})
    'held-out loss 3.250 → 3.000'
    """
    values = [numbers.get(watch, math.nan) for numbers in steps]
    if watch == "map":
        return "MAP " + " → ".join(f"{100 * value:.1f}" for value in values) + " %"
    return "held-out loss " + " → ".join(f"{value:.3f}" for value in values)


def _embedder(path: Path) -> SegmentEmbedder:
    if path.suffix == ".onnx":
        return segment_embedder(EncoderEmbedder(load_encoder(path)))
    return segment_embedder(load_embedder(path))


def _least_sections(part: DatasetPart) -> int:
    """Choose how many sections a speaker must have, so that training batches can be drawn from them.

    The number is the highest of 20, 10, 5 and 2 that keeps at least half of all sections; otherwise it is 1.
    """
    counts: dict[str, int] = {}
    for section in read_sections(part.sections):
        if section.end_s - section.start_s >= 0.4:
            counts[section.speaker or section.path] = counts.get(section.speaker or section.path, 0) + 1
    sizes = np.array([*counts.values()] or [1])
    return next((least for least in (20, 10, 5, 2) if sizes[sizes >= least].sum() >= sizes.sum() / 2), 1)


def _labeled_recordings(validation: Path | None, audio: Path | None) -> frozenset[Path]:
    if validation is None:
        return frozenset()
    clips, recordings = read_clips(validation, audio)
    return frozenset(recordings.locate(path).resolve() for path in {clip.path for clip in clips})


def _stamp(
    manifest: Manifest, initialization: Initialization, settings: AdaptSettings, validation: Path | None
) -> dict[str, object]:
    """Collect all values that the results of an adaptation depend on, to recognize its folder when it resumes."""
    checkpoint = initialization.checkpoint
    return {
        "corpus": _digest(repr((str(manifest.folder.resolve()), manifest.clips)).encode()),
        "initialization": [
            initialization.name,
            _digest(checkpoint.read_bytes()) if checkpoint else None,
            _digest(repr(initialization.recipe).encode()),
        ],
        "validation": _digest(validation.read_bytes()) if validation else None,
        # The number of rounds may be raised later.
        "settings": settings.model_dump(exclude={"rounds", "threads"}),
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
