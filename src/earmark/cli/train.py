"""`earmark train`: learn an encoder from a recipe, and export the checkpoint that the recipe chooses."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.export import write_encoder
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.training.recipe import AnyRecipe


@command(panel="Training", example="earmark train recipes/smoke.toml --set optimizer.steps=50 --run runs/short")
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, .toml.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a key of the recipe; may be repeated.",
            show_default="",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for checkpoints, log and encoder.", show_default="runs/<name>"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, …", show_default="cuda where there is one"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Report every fault of the recipe and of what it names; train nothing.")
    ] = False,
) -> None:
    """Learn an encoder from a recipe, and export the checkpoint that the recipe chooses: the best, or the last.

    A run that was stopped goes on when the same command is given again. Several processes share the work when
    torchrun starts them: torchrun --nproc-per-node 4 -m -- earmark train RECIPE.
    """
    with needs("train"):
        from earmark.training import loop
        from earmark.training.nn.encoders import StreamSettings
        from earmark.training.recipe import read_any_recipe
        from earmark.training.run.checkpoint import load_checkpoint
        from earmark.training.run.distributed import launched

    settings = read_any_recipe(recipe, overrides or [])
    folder = run or Path("runs") / settings.name
    if check:
        loop.check(settings, folder, device=device)
        console.say(f"{recipe}: no fault found")
        return
    last = folder / "last.safetensors"
    begun = f", going on from step {load_checkpoint(last).step}" if last.exists() else ""
    if launched().is_first:
        console.say(f"{settings.name}: {settings.optimizer.steps} steps in {folder}{begun}")
    best = loop.train(
        settings,
        folder,
        device=device,
        report=lambda step, numbers: console.say(f"step {step}: {_told(numbers)}"),
    )
    if not launched().is_first:
        return
    state = load_checkpoint(best)
    console.say(f"{settings.choose}: step {state.step}: {_told(state.metrics)}")
    out = best
    # Encoders of clips of one length cannot listen to a stream; evaluations take their checkpoints as they are.
    if isinstance(settings.encoder, StreamSettings):
        out = folder / f"{settings.name}.onnx"
        write_encoder(best, out)
    console.say(f"try it: earmark evaluate {_test_of(settings)} --audio FOLDER --encoder {out}")


def _test_of(recipe: "AnyRecipe") -> str:
    """The evaluation that suits what was learned."""
    if recipe.kind == "sequences":
        return "map SEGMENTS"
    if recipe.data.classes == "speaker":
        return "verify PAIRS"
    if recipe.data.targets:
        return f"open-set LISTS --targets {','.join(recipe.data.targets)}"
    return "few-shot LISTS"


def _told(numbers: Mapping[str, float]) -> str:
    """Numbers of a validation in words: `loss 1.23, accuracy 45.6 %, EER 7.8 %`."""
    named = {"accuracy": "accuracy", "eer": "EER", "frr": "FRR at 2.5 % FAR", "map": "MAP", "map_at_r": "MAP@R"}
    losses = {"loss": "loss", "held_out_loss": "held-out loss"}
    loss = [f"{name} {numbers[key]:.3f}" for key, name in losses.items() if key in numbers]
    told = [f"{name} {100 * numbers[key]:.1f} %" for key, name in named.items() if key in numbers]
    return ", ".join(loss + told) or "no validation clips, so the last step counts as the best"
