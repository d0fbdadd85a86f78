"""`earmark export`: from a checkpoint to an encoder that runs without torch."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.core.errors import InputError, needs


@command(panel="Training", example="earmark export runs/smoke/best.safetensors --out smoke.onnx")
def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="What `earmark train` saved.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The encoder to write, .onnx.", show_default=False)],
) -> None:
    """Make an encoder of a checkpoint, and check that it computes the same.

    A checkpoint with data.classes = "speaker" becomes a speaker encoder. Where the recipe's corpora are at hand, it is
    measured how often background sound, or another voice, scores how high; enrolling needs that to set thresholds.
    """
    write_encoder(checkpoint, out)


def write_encoder(checkpoint: Path, out: Path) -> None:
    """Export and calibrate, and say so."""
    with needs("train"):
        from earmark.training.export.calibration import calibrate
        from earmark.training.export.encoder import export as export_checkpoint
        from earmark.training.recipe import check_any_recipe
        from earmark.training.run.checkpoint import load_checkpoint

    if out.suffix != ".onnx":
        raise InputError(f"{out}: an encoder is an .onnx file; name it so")
    recipe = check_any_recipe(load_checkpoint(checkpoint).recipe, str(checkpoint))
    if recipe.kind == "words" and recipe.data.classes == "speaker":
        _write_speaker_encoder(checkpoint, out)
        return
    encoder = export_checkpoint(checkpoint, out)
    _say_written(out, encoder.dimension)
    if recipe.kind == "sequences":
        warnings.warn(
            f"{out}: not calibrated, so that it can search but not enroll keywords: it learned without labeled words; "
            "earmark adapt calibrates what it makes",
            stacklevel=2,
        )
        return
    try:
        calibration = calibrate(out, recipe)
    except InputError as error:
        warnings.warn(f"{out}: not calibrated, so that it cannot enroll keywords yet: {error}", stacklevel=2)
        return
    console.say(
        f"calibrated: at one false alarm per hour {_percent(calibration.miss_rate(1.0))} of keywords are missed"
    )


def _write_speaker_encoder(checkpoint: Path, out: Path) -> None:
    from earmark.training.export.speaker_calibration import calibrate_speaker
    from earmark.training.export.speaker_encoder import export_speaker
    from earmark.training.run.checkpoint import load_checkpoint
    from earmark.training.words.recipe import check_recipe

    encoder = export_speaker(checkpoint, out)
    _say_written(out, encoder.dimension)
    recipe = check_recipe(load_checkpoint(checkpoint).recipe, str(checkpoint))
    try:
        calibration = calibrate_speaker(out, recipe)
    except InputError as error:
        warnings.warn(f"{out}: not calibrated, so that it cannot enroll speakers yet: {error}", stacklevel=2)
        return
    misses = _percent(calibration.miss_rate(0.05))
    console.say(f"calibrated: where 5 % of other voices pass, {misses} of the right one are refused")
    if recipe.data.known_validation:
        warnings.warn(f"{out}: calibrated on voices that it was trained on; others will pass more often", stacklevel=2)


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.1f} %"


def _say_written(out: Path, dimension: int) -> None:
    console.say(f"wrote {out}: {dimension} numbers an embedding, {out.stat().st_size / 1e6:.1f} MB")
