"""`earmark export`: write the encoder of a checkpoint as a file that runs without torch."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
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
    """Export and calibrate a checkpoint, and print what was done."""
    with needs("train"):
        from earmark.training.export.calibration import calibrate
        from earmark.training.export.encoder import export as export_checkpoint
        from earmark.training.recipe import check_any_recipe
        from earmark.training.run.checkpoint import load_checkpoint

    if out.suffix != ".onnx":
        raise InputError(f"{out} is not an .onnx file; choose a name with this suffix", key="out")
    recipe = check_any_recipe(load_checkpoint(checkpoint).recipe, str(checkpoint))
    if recipe.kind == "words" and recipe.data.classes == "speaker":
        _write_speaker_encoder(checkpoint, out, recipe)
        return
    encoder = export_checkpoint(checkpoint, out)
    _say_written(out, encoder.dimension)
    if recipe.kind == "sequences":
        warnings.warn(
            f"{out}: not calibrated, because its training had no labeled words; it can search, but not enroll "
            "keywords; earmark adapt calibrates its encoders",
            stacklevel=2,
        )
        return
    try:
        with console.progress_bar() as progress:
            calibration = calibrate(out, recipe, progress=progress)
    except InputError as error:
        warnings.warn(f"{out}: not calibrated, so that it cannot enroll keywords yet: {error}", stacklevel=2)
        return
    misses = _percent(calibration.miss_rate(1.0))
    console.say(f"calibrated: at one false alarm per hour {misses} of keywords are missed")


def _write_speaker_encoder(checkpoint: Path, out: Path, recipe: "Recipe") -> None:
    from earmark.training.export.speaker_calibration import calibrate_speaker
    from earmark.training.export.speaker_encoder import export_speaker

    encoder = export_speaker(checkpoint, out)
    _say_written(out, encoder.dimension)
    try:
        with console.progress_bar() as progress:
            calibration = calibrate_speaker(out, recipe, progress=progress)
    except InputError as error:
        warnings.warn(f"{out}: not calibrated, so that it cannot enroll speakers yet: {error}", stacklevel=2)
        return
    misses = _percent(calibration.miss_rate(0.05))
    console.say(f"calibrated: at 5 % false accepts {misses} of the speaker's clips are rejected")
    if recipe.data.known_validation:
        warnings.warn(
            f"{out}: calibrated on speakers of its training, so that more of other voices are accepted", stacklevel=2
        )


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.1f} %"


def _say_written(out: Path, dimension: int) -> None:
    console.say(f"wrote {out}: embeddings of {dimension} numbers, {out.stat().st_size / 1e6:.1f} MB")
