"""The training loop: recipe → episodes → scenes → encoder → loss → step, on one page."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from earmark.errors import EarmarkError, InputError
from earmark.training.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint, state_of
from earmark.training.corpus import Corpus, prepare_corpus, validation_bank
from earmark.training.encoders import EncoderSettings, FrameEncoder, build_encoder
from earmark.training.episodes import Episodes
from earmark.training.losses import build_loss
from earmark.training.pooling import jitter, pieces, sum_windows
from earmark.training.progress import step_bar
from earmark.training.recipe import OptimiserSettings, Recipe, check_recipe, portable
from earmark.training.validation import Validation

Report = Callable[[int, dict[str, float]], None]

_SAMPLE = 512  # scenes that the scale of a tower is measured on


def train(recipe: Recipe, folder: Path, *, device: str | None = None, report: Report | None = None) -> Path:
    """Train an encoder; a run that was stopped goes on from its last checkpoint, to the same bits on a CPU.

    Args:
        recipe: all settings.
        folder: the run's folder: ``last.safetensors``, ``best.safetensors``, ``log.jsonl``.
        device: ``cpu``, ``cuda``, …; default: what is there.
        report: called with the step and the numbers of each line of the log.

    Returns:
        The checkpoint that the recipe chooses: the best by the validation's EER, or the last.

    Raises:
        InputError: the folder holds another recipe's run, validation words are training labels too, or there is no
            such device.
        EarmarkError: the loss is no longer finite.
    """
    where = _device(device)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = prepare_corpus(recipe, where)
    bank = validation_bank(recipe)
    if bank is not None and (both := sorted({*bank.labels} & {*corpus.bank.labels})):
        raise InputError(f"data.validation: {both[0]!r} is a training label too; exclude it from one of both")
    torch.manual_seed(recipe.seed)
    model = build_encoder(recipe.encoder).to(where)
    objective = build_loss(recipe.loss).to(where)
    teacher = model if recipe.encoder.frames == "published" else _teacher(recipe, where)
    if teacher is not None:
        # A student learns its teacher's frames at unit scale, the scale of its own layers at the start.
        teacher.head.measure(_sample_frames(corpus, teacher, recipe.seed))
    parameters = [p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.optimiser.lr, weight_decay=recipe.optimiser.weight_decay)
    validation = Validation(bank, model, where) if bank is not None else None
    episodes = Episodes(corpus.bank.label, corpus.bank.speaker, recipe.episodes, recipe.seed)
    described = recipe.model_dump(mode="json")
    first = _resume(folder, recipe, model, objective, optimiser)
    best = _best_so_far(folder)

    with step_bar() as progress:
        task = progress.add_task(recipe.name, total=recipe.optimiser.steps, completed=first, loss=math.nan)
        for step in range(first, recipe.optimiser.steps):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, recipe.optimiser)
            # Every draw of a step follows from the seed and the step, so that a run can stop and go on anywhere.
            torch.manual_seed(recipe.seed * 1_000_003 + step)
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
            model.train()
            words = torch.from_numpy(episodes.draw(step))
            loss = _loss(words, recipe, corpus, model, teacher, objective, generator)
            if not math.isfinite(loss.item()):
                raise EarmarkError(
                    f"{recipe.name}: the loss is {loss.item()} at step {step}; try a smaller optimiser.lr"
                )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, recipe.optimiser.clip_norm)
            optimiser.step()
            progress.update(task, advance=1, loss=loss.item())
            done = step + 1
            if done % recipe.checkpoint_every == 0 or done == recipe.optimiser.steps:
                numbers = validation.measure() if validation is not None else {}
                state = Checkpoint(described, done, numbers, state_of(model, objective, optimiser))
                if numbers.get("eer", -math.inf) <= best:
                    best = numbers.get("eer", best)
                    save_checkpoint(folder / "best.safetensors", state)
                # Last of all: a run that is stopped in between does these steps again and writes the best again.
                save_checkpoint(folder / "last.safetensors", state)
                _log(folder, done, {"loss": loss.item()} | numbers, report)
    return folder / f"{recipe.choose}.safetensors"


def learning_rate(step: int, settings: OptimiserSettings) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    rise = max(1, round(settings.warmup * settings.steps))
    if step < rise:
        return settings.lr * (step + 1) / rise
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, settings.steps - rise)))


def _loss(
    words: Tensor,
    recipe: Recipe,
    corpus: Corpus,
    model: FrameEncoder,
    teacher: FrameEncoder | None,
    objective: nn.Module,
    generator: torch.Generator,
) -> Tensor:
    """Loss of one episode, shape (N, M) of clips; with a teacher also that of the frames, over more clips."""
    clips, spoken = words.flatten(), words.numel()
    if sounds := max(recipe.distillation.sounds, recipe.episodes.background):
        pool = torch.from_numpy(corpus.sounds)
        clips = torch.cat([clips, pool[torch.randint(len(pool), (sounds,), generator=generator)]])
    scenes, taught = corpus.draw(clips, generator)
    if taught is None and teacher is not None:
        taught = _frozen_frames(teacher, scenes.waves)
    # A frozen tower would say again what its kept frames say.
    heard = taught if teacher is model and taught is not None else model.tower_frames(scenes.waves)
    judged = spoken + recipe.episodes.background
    windows = torch.cat([jitter(scenes.spoken[:spoken], generator), pieces(scenes.spoken[spoken:judged], generator)])
    embeddings = sum_windows(model.head(heard[:judged]), windows, model)
    loss: Tensor = objective(embeddings[:spoken].unflatten(0, tuple(words.shape)), embeddings[spoken:])
    if taught is not None and teacher is not None and teacher is not model:
        frame_loss = nn.functional.smooth_l1_loss(heard, teacher.head.normalise(taught))
        loss = loss + recipe.distillation.weight * frame_loss
    return loss


def _frozen_frames(teacher: FrameEncoder, waves: Tensor) -> Tensor:
    with torch.no_grad():
        return teacher.tower_frames(waves)


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"--device {name}: torch cannot use it here ({str(error).splitlines()[0]})") from None
    return device


def _teacher(recipe: Recipe, device: torch.device) -> FrameEncoder | None:
    if not recipe.distillation.weight:
        return None
    return build_encoder(EncoderSettings(frames="published")).to(device).eval().requires_grad_(False)


def _sample_frames(corpus: Corpus, teacher: FrameEncoder, seed: int) -> Tensor:
    """Tower vectors of some scenes, shape (n, 96)."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randint(len(corpus.bank), (_SAMPLE,), generator=generator)
    scenes, frames = corpus.draw(clips, generator)
    return (_frozen_frames(teacher, scenes.waves) if frames is None else frames).flatten(0, 1)


def _resume(
    folder: Path, recipe: Recipe, model: nn.Module, objective: nn.Module, optimiser: torch.optim.Optimizer
) -> int:
    path = folder / "last.safetensors"
    if not path.exists():
        return 0
    checkpoint = load_checkpoint(path)
    if portable(check_recipe(checkpoint.recipe, str(path))) != portable(recipe):
        raise InputError(f"{folder}: holds a run of another recipe; choose another --run folder, or remove this one")
    restore(checkpoint.tensors, model, objective, optimiser)
    return checkpoint.step


def _best_so_far(folder: Path) -> float:
    path = folder / "best.safetensors"
    return load_checkpoint(path).metrics.get("eer", math.inf) if path.exists() else math.inf


def _log(folder: Path, step: int, numbers: dict[str, float], report: Report | None) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": step} | numbers) + "\n")
    if report is not None:
        report(step, numbers)
