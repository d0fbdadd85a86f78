"""`earmark export`: write the encoder of a checkpoint as a file that runs without torch."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from earmark.models.calibration import Calibration
    from earmark.training.words.recipe import Recipe


@command(panel="Training", example="earmark export runs/smoke/best.safetensors --out smoke.onnx")
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of `earmark train`.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The encoder to write, .onnx.")],
) -> None:
    """Export a checkpoint to an encoder, and check that both compute the same.

    A checkpoint with data.classes = "speaker" becomes a speaker encoder. If the recipe's corpora are available, the
    encoder is calibrated: enrollment needs the scores of background audio, or of other voices, to choose thresholds.
    """
    write_encoder(checkpoint, out)


def write_encoder(checkpoint: Path, out: Path) -> None:
    """Export and calibrate a checkpoint; print the size of the file and the miss rate.

    Warns:
        UserWarning: the encoder cannot be calibrated, or only on speakers of its training.
    """
    with needs("train"):
        from earmark.training.export.calibration import calibrate
        from earmark.training.export.encoder import export as export_checkpoint
        from earmark.training.export.speaker_calibration import calibrate_speaker
        from earmark.training.export.speaker_encoder import export_speaker
        from earmark.training.recipe import check_any_recipe
        from earmark.training.run.checkpoint import load_checkpoint

    if out.suffix != ".onnx":
        raise InputError(f"{out} is not an .onnx file; choose a name with this suffix", key="out")
    recipe = check_any_recipe(load_checkpoint(checkpoint).recipe, str(checkpoint))
    is_speaker = recipe.kind == "words" and recipe.data.classes == "speaker"
    encoder = (export_speaker if is_speaker else export_checkpoint)(checkpoint, out)
    console.say(f"wrote {out}: embeddings of {encoder.dimension} numbers, {out.stat().st_size / 1e6:.1f} MB")
    if recipe.kind == "sequences":
        warnings.warn(
            f"{out}: the encoder is not calibrated, because its training had no labeled words; it can search, but not "
            "enroll keywords; adapt an encoder with earmark adapt, which calibrates it",
            stacklevel=2,
        )
        return
    if not is_speaker:
        if calibration := _calibrated(calibrate, out, recipe, "keywords"):
            misses = _percent(calibration.miss_rate(1.0))
            console.say(f"calibrated: at one false alarm per hour {misses} of keywords are missed")
        return
    if calibration := _calibrated(calibrate_speaker, out, recipe, "speakers"):
        misses = _percent(calibration.miss_rate(0.05))
        console.say(f"calibrated: at 5 % false accepts {misses} of the speaker's clips are rejected")
        if recipe.data.known_validation:
            warnings.warn(
                f"{out}: the encoder is calibrated on speakers of its training, so a threshold accepts more impostors "
                "than its rate; give the recipe other speakers for validation",
                stacklevel=2,
            )


def _calibrated(
    calibrate: "Callable[..., Calibration]", out: Path, recipe: "Recipe", enrolled: str
) -> "Calibration | None":
    """Calibrate an encoder; None, with a warning, if the clips of the recipe do not suffice."""
    try:
        with console.progress_bar() as progress:
            return calibrate(out, recipe, progress=progress)
    except InputError as error:
        warnings.warn(
            f"{out}: the encoder is not calibrated, so it cannot enroll {enrolled} yet: {error}", stacklevel=3
        )
        return None


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.1f} %"
