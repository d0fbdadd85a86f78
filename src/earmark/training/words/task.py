"""Builds the training task of a word recipe, for a clip encoder or a stream encoder."""

import torch

from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders import StreamSettings
from earmark.training.run.distributed import Processes
from earmark.training.words.clip_task import ClipTask
from earmark.training.words.corpus import prepare_corpus, validation_bank
from earmark.training.words.recipe import Recipe
from earmark.training.words.stream_task import StreamTask


def build_words_task(
    recipe: Recipe, device: torch.device, processes: Processes, *, progress: Progress = no_progress
) -> ClipTask | StreamTask:
    """Decode the clips of a recipe into a bank, and build the task that trains and validates its encoder.

    Args:
        recipe: recipe of a clip encoder or of a stream encoder.
        device: training device.
        processes: processes of the run; the first one alone packs the clips and validates.
        progress: counts clips that are packed, and scenes that are cached.

    Raises:
        InputError: clips or manifests are missing or too few; a validation label is a training label.
    """
    with processes.first_alone():
        corpus = prepare_corpus(recipe, progress=progress)
        bank = validation_bank(recipe, progress=progress)
    held_out = bank if processes.is_first else None
    torch.manual_seed(recipe.seed)
    with processes.first_alone():
        if isinstance(recipe.encoder, StreamSettings):
            return StreamTask(recipe, corpus, held_out, device, progress=progress)
        return ClipTask(recipe, corpus, held_out, device)
