"""Learning from labeled clips: words, or voices."""

import torch

from earmark.training.batches.episodes import Episodes
from earmark.training.run.distributed import Processes
from earmark.training.run.task import Batch, Work
from earmark.training.words.corpus import prepare_corpus, validation_bank
from earmark.training.words.lessons import build_lesson
from earmark.training.words.recipe import Recipe
from earmark.training.words.validation import Validation


def begin_words(recipe: Recipe, device: torch.device, processes: Processes) -> Work:
    """Clips packed, network built, validation clips ready.

    Raises:
        InputError: clips or manifests that are missing, or too few; validation words that are training labels too.
    """
    with processes.first_alone():
        corpus = prepare_corpus(recipe)
        bank = validation_bank(recipe)
    torch.manual_seed(recipe.seed)
    with processes.first_alone():
        lesson = build_lesson(recipe, corpus, device)
    episodes = Episodes(corpus.clips, corpus.background, corpus.bank.speaker, recipe.episodes, recipe.seed)

    def draw(step: int, generator: torch.Generator, processes: Processes) -> Batch:
        episode = episodes.draw(step)
        own, extra = lesson.embed(episode, generator, processes)
        return Batch(episode.labels, episode.clips.shape[1], own, extra)

    validation = Validation(bank, lesson) if bank is not None and processes.is_first else None
    return Work(lesson.model, corpus.classes, draw, validation.measure if validation is not None else None)
