"""From a checkpoint of an encoder of clips that tells speakers apart to a speaker encoder that runs without torch."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.onnx.utils import register_custom_op_symbolic

from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import EarmarkError, InputError
from earmark.evaluation.metrics import ErrorCurve, error_curve, frr_at_far
from earmark.models.calibration import Calibration
from earmark.models.onnx_model import FORMAT
from earmark.models.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from earmark.training.export.encoder import OPSET, new_graph, set_card
from earmark.training.nn.encoders import ClipEncoder, StreamSettings
from earmark.training.nn.frontends.spectrogram import Spectrogram
from earmark.training.run.checkpoint import Checkpoint, fill, load_checkpoint, under
from earmark.training.run.progress import follow
from earmark.training.words.corpus import validation_bank
from earmark.training.words.recipe import Recipe, check_recipe, portable

PARITY = 1e-4
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
TAKES = 5
_ROUNDS = 4
_CLIPS_A_SPEAKER = 40


class _Convolved(nn.Module):
    """A spectrogram as a convolution with windowed waves: the exporter knows no complex numbers."""

    kernel: Tensor

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__()
        self.hop, self.padding = spectrogram.hop, spectrogram.padding
        n_fft = spectrogram.n_fft
        self.reach = n_fft // 2 if spectrogram.centered else 0
        turns = torch.outer(torch.arange(n_fft // 2 + 1), torch.arange(n_fft)) % n_fft
        angles = 2 * torch.pi * turns.double() / n_fft
        spare = n_fft - len(spectrogram.window)
        window = nn.functional.pad(spectrogram.window, (spare // 2, spare - spare // 2)).double()
        kernel = torch.cat([angles.cos(), angles.sin()]) * window
        self.register_buffer("kernel", kernel[:, None].float(), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """As `Spectrogram.forward`."""
        if self.reach:
            waves = nn.functional.pad(waves, (self.reach, self.reach), mode=self.padding)
        both = nn.functional.conv1d(waves[:, None], self.kernel, stride=self.hop)
        real, imaginary = both.chunk(2, dim=1)
        return (real.square() + imaginary.square()).transpose(1, 2)


class _Unit(nn.Module):
    """An encoder of clips whose embeddings are of unit length."""

    def __init__(self, model: ClipEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, waves: Tensor) -> Tensor:
        return nn.functional.normalize(self.model(waves), dim=1)


def export_speaker(checkpoint: Path, out: Path, *, card: dict[str, Any] | None = None) -> SpeakerEncoder:
    """Write a speaker encoder that runs without torch.

    Its graph hears stretches of the length that the network was trained on; of longer sound the runtime averages
    evenly spaced stretches, and shorter sound it repeats.

    Args:
        checkpoint: a checkpoint of ``earmark train``, of an encoder of clips, with ``data.classes = "speaker"``.
        out: the .onnx file; it is complete and checked, or not there.
        card: what the model card says beside recipe, step and validation.

    Raises:
        InputError: the checkpoint tells no speakers apart, or is of an encoder of streams.
        EarmarkError: the exported graph computes other numbers than the checkpoint.
    """
    state = load_checkpoint(checkpoint)
    recipe = check_recipe(state.recipe, str(checkpoint))
    model = _load_model(state, recipe)
    description = {
        "format": FORMAT,
        "kind": "speaker",
        "name": recipe.name,
        "sample_rate": SAMPLE_RATE,
        "samples": model.settings.samples,
        "dimension": model.settings.dimension,
        "card": {"step": state.step, "validation": state.metrics, "recipe": portable(recipe)} | (card or {}),
    }
    # A second copy: the check must not run what was changed for the export.
    graph = _graph(_load_model(state, recipe))
    with new_graph(out, graph, description) as partial:
        check_speaker_parity(model, load_speaker_encoder(partial))
    return load_speaker_encoder(out)


def check_speaker_parity(model: ClipEncoder, encoder: SpeakerEncoder) -> float:
    """Largest difference between torch and the runtime over a few clips.

    Raises:
        EarmarkError: it is above 1e-4.
    """
    generator = np.random.default_rng(0)
    waves = (0.1 * generator.standard_normal((3, model.settings.samples))).astype(np.float32)
    waves[1] *= 0.01
    waves[2, : len(waves[2]) // 2] *= 0.01
    with torch.inference_mode():
        ours = nn.functional.normalize(model(torch.from_numpy(waves)), dim=1).numpy()
    difference = float(np.abs(ours - encoder.embed_batch(list(waves))).max())
    if not difference <= PARITY:
        raise EarmarkError(
            f"{encoder.name}: the exported graph differs from the checkpoint by {difference:.1e} (> {PARITY:g})"
        )
    return difference


def calibrate_speaker(path: Path, recipe: Recipe) -> Calibration:
    """Measure what voices score with a speaker encoder, and write what that means into its card.

    The validation's speakers are enrolled with five clips each and tested with their others.

    Raises:
        InputError: the recipe names no validation clips, or too few of them.
    """
    bank = validation_bank(recipe)
    if bank is None:
        raise InputError("data.validation: calibration needs clips of speakers who were not trained on")
    encoder = load_speaker_encoder(path)
    generator = np.random.default_rng(0)
    groups = [generator.permutation(np.flatnonzero(bank.label == label)) for label in range(len(bank.labels))]
    clips = np.concatenate([group[:_CLIPS_A_SPEAKER] for group in groups])
    units = np.stack([encoder.embed(bank.wave(clip)) for clip in follow(clips.tolist(), "calibrating")])
    calibration = speaker_calibration([(units, bank.label[clips])])
    set_card(path, {"calibration": calibration.to_card()})
    return calibration


def speaker_calibration(groups: Sequence[tuple[NDArray[np.floating], NDArray[Any]]], *, fewest: int = 2) -> Calibration:
    """Thresholds for rates of false accepts, and how steeply sureness grows.

    Each speaker is enrolled a few times with five clips, or half of those that there are, and compared with all other
    clips of the group. Groups count alike, however many speakers they have, and so do the speakers of a group, however
    many clips they have.

    Args:
        groups: embeddings of unit length, shape (n, d), with their speakers, shape (n,); speakers are compared only
            within a group: another microphone would make another voice too easy to tell.
        fewest: who has fewer clips is not enrolled.

    Raises:
        InputError: fewer than two speakers of a group have clips enough.
    """
    generator = np.random.default_rng(0)
    same, other, share = [], [], []
    for units, names in groups:
        every, counts = np.unique(names, return_counts=True)
        enrolled = every[counts >= fewest] if len(every) > 1 else every[:0]
        share += [1 / max(1, len(enrolled))] * len(enrolled) * _ROUNDS
        for name in enrolled.repeat(_ROUNDS):
            own = generator.permutation(np.flatnonzero(names == name))
            chosen = own[: min(TAKES, len(own) // 2)]
            prototype = units[chosen].mean(axis=0)
            scores = units @ (prototype / np.linalg.norm(prototype))
            is_test = np.ones(len(units), bool)
            is_test[chosen] = False
            same.append(scores[is_test & (names == name)])
            other.append(scores[names != name])
    if len(same) < 2 * _ROUNDS:
        raise InputError(f"calibration needs two speakers with {fewest} clips or more each")
    parts = [*same, *other]
    scores = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), of / len(part)) for part, of in zip(parts, share * 2, strict=True)])
    positive = np.arange(len(scores)) < sum(map(len, same))
    curve = error_curve(scores, positive, weights)
    threshold = [_threshold(curve, rate) for rate in RATES]
    return Calibration(
        rates=RATES,
        thresholds=tuple(round(value, 3) for value in threshold),
        slope=_slope(scores - threshold[RATES.index(0.05)], positive, weights),
        rate_name="false_accepts",
        miss_rates=tuple(round(frr_at_far(curve, rate), 3) for rate in RATES),
        details={"speakers": len(same) // _ROUNDS},
    )


def _threshold(curve: ErrorCurve, rate: float) -> float:
    """The lowest score from which on no more than this share of the others passes; 1 where there is none."""
    lowest = float(curve.thresholds[np.flatnonzero(curve.far <= rate)[-1]])
    return min(1.0, lowest)


def _slope(above: NDArray[np.floating], positive: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """How steeply the logistic curve through 0.5 at the threshold rises that fits best, both kinds counted alike."""
    share = np.where(positive, weights / weights[positive].sum(), weights / weights[~positive].sum())
    signed = np.where(positive, above, -above)
    slopes = np.arange(2.0, 60.0, 0.5)
    return float(slopes[np.argmin([float(share @ np.logaddexp(0, -slope * signed)) for slope in slopes])])


def _load_model(state: Checkpoint, recipe: Recipe) -> ClipEncoder:
    if isinstance(recipe.encoder, StreamSettings):
        raise InputError(f"{recipe.name}: an encoder of streams hears words, not voices; export it as it is")
    if recipe.data.classes != "speaker":
        raise InputError(f"{recipe.name}: trained to tell words apart; set data.classes = 'speaker' and train anew")
    model = recipe.encoder.build()
    fill(model, under(state.tensors, "model."))
    return model.eval()


def _swapped(graph: Any, values: Any) -> Any:
    """The node for values with their last two axes swapped."""
    rank = values.type().dim()
    return graph.op("Transpose", values, perm_i=[*range(rank - 2), rank - 1, rank - 2])


def _graph(model: ClipEncoder) -> onnx.ModelProto:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Spectrogram):
                setattr(parent, name, _Convolved(child))
    # One clip at a time: some networks work through a batch in pieces, which the graph could not.
    wave = torch.from_numpy(np.random.default_rng(1).standard_normal((1, model.settings.samples)).astype(np.float32))
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "graph.onnx"
        warnings.simplefilter("ignore")  # as in `export`; and of shapes that are fixed here
        register_custom_op_symbolic("aten::mT", _swapped, OPSET)  # which the exporter does not know
        torch.onnx.export(
            _Unit(model),
            (wave,),
            path,
            input_names=["wave"],
            output_names=["embedding"],
            opset_version=OPSET,
            dynamo=False,
        )
        graph: onnx.ModelProto = onnx.load(str(path))
    for node in graph.graph.node:
        node.doc_string = ""
    return graph
