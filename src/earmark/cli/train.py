"""`earmark train`: train an encoder from a recipe, and export the checkpoint that the recipe chooses."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.export import write_encoder
from earmark.cli.options import Check, Device, Overrides
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.training.recipe import AnyRecipe

LOSSES = {"loss": "loss", "held_out_loss": "held-out loss"}
METRICS = {"accuracy": "accuracy", "eer": "EER", "frr": "FRR at 2.5 % FAR", "map": "MAP", "map_at_r": "MAP@R"}


@command(panel="Training", example="earmark train recipes/smoke.toml --set optimizer.steps=50 --run runs/short")
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, .toml.")],
    overrides: Overrides = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for checkpoints, log and encoder; runs/NAME if not given.",
        ),
    ] = None,
    device: Device = None,
    check: Check = False,
) -> None:
    """Train an encoder from a recipe, and export the checkpoint that the recipe chooses: the best, or the last.

    The same command resumes a run that was stopped. torchrun distributes the training to several processes:
    torchrun --nproc-per-node 4 -m -- earmark train RECIPE.
    """
    with needs("train"):
        from earmark.training import loop
        from earmark.training.nn.encoders import StreamSettings
        from earmark.training.recipe import read_any_recipe
        from earmark.training.run.checkpoint import load_checkpoint
        from earmark.training.run.distributed import find_device, launched

    settings = read_any_recipe(recipe, overrides or [])
    folder = run or Path("runs") / settings.name
    if check:
        find_device(device)
        loop.check(settings, folder)
        console.say(f"{recipe}: no fault found")
        return
    last = folder / "last.safetensors"
    resumed = f", resumed from step {load_checkpoint(last).step}" if last.exists() else ""
    if launched().is_first:
        console.say(f"{settings.name}: {settings.optimizer.steps} steps in {folder}{resumed}")
    with console.progress_bar() as progress:
        for step, metrics in loop.train_in_steps(settings, folder, device=device, progress=progress):
            console.say(f"step {step}: {_text(metrics)}")
    if not launched().is_first:
        return
    chosen = loop.chosen_checkpoint(settings, folder)
    state = load_checkpoint(chosen)
    console.say(f"{settings.choose}: step {state.step}: {_text(state.metrics)}")
    encoder = chosen
    # Only encoders of streams are exported; evaluations read the checkpoints of the others.
    if isinstance(settings.encoder, StreamSettings):
        encoder = folder / f"{settings.name}.onnx"
        write_encoder(chosen, encoder)
    console.say(f"try it: earmark evaluate {_evaluation(settings)} --audio FOLDER --encoder {encoder}")


def _evaluation(recipe: "AnyRecipe") -> str:
    """Return the arguments of `earmark evaluate` that suit the encoder of a recipe."""
    if recipe.kind == "sequences":
        return "map SEGMENTS"
    if recipe.data.classes == "speaker":
        return "verify PAIRS"
    if recipe.data.targets:
        return f"open-set LISTS --targets {','.join(recipe.data.targets)}"
    return "few-shot LISTS"


def _text(metrics: Mapping[str, float]) -> str:
    """Format the metrics of a checkpoint: `loss 1.23, accuracy 45.6 %, EER 7.8 %`."""
    loss = [f"{name} {metrics[key]:.3f}" for key, name in LOSSES.items() if key in metrics]
    shares = [f"{name} {100 * metrics[key]:.1f} %" for key, name in METRICS.items() if key in metrics]
    return ", ".join(loss + shares) or "no validation clips, so the last step is the best"
