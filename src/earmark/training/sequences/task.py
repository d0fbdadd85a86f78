"""Learning to embed segments: batches of stretched sections, of pairs, or of labeled segments."""

import numpy as np
import torch

from earmark.training.nn.encoders.stream import FrameEncoder
from earmark.training.run.distributed import Processes
from earmark.training.run.task import Batch, Work
from earmark.training.sequences.batches import DrawCuts, Material
from earmark.training.sequences.frames import build_source
from earmark.training.sequences.networks import build_network, embed_cuts, project
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.validation import SequenceValidation

_SAMPLE = 4  # batches that the scale of frames is measured on


def begin_sequences(recipe: SequenceRecipe, device: torch.device, processes: Processes) -> Work:
    """Frames stored, network built, validation ready.

    Raises:
        InputError: lists or recordings that are missing or broken; too little to draw from; a network for other frames.
    """
    source = build_source(recipe.frames, device)
    with processes.first_alone():
        material = Material(recipe, source, device)
        drawn = material.draws(recipe.seed)
        held_out = material.held_out() if processes.is_first else None
        labeled = material.validation() if processes.is_first else None
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.encoder, source.width).to(device)
    if isinstance(network, FrameEncoder):
        network.head.fit_scale(_sample_frames(drawn, device))

    def draw(step: int, generator: torch.Generator, processes: Processes) -> Batch:
        del generator  # a draw follows from the seed and the step
        batch = drawn(step)
        rows = np.arange(2 * len(batch.labels))[processes.share(2 * len(batch.labels))]
        return Batch(batch.labels, 2, project(network, embed_cuts(network, batch.cut(rows), device)))

    validation = SequenceValidation(network, recipe.loss, labeled, held_out, device)
    is_measured = labeled is not None or held_out is not None
    return Work(network, (), draw, validation.measure if is_measured else None)


def _sample_frames(draw: DrawCuts, device: torch.device) -> torch.Tensor:
    """Frames of a few batches, shape (n, width): a head learns from frames at unit scale."""
    batches = [draw(number) for number in range(_SAMPLE)]
    cuts = [cut for batch in batches for cut in batch.cut(np.arange(len(batch.labels)))]
    return torch.from_numpy(np.concatenate([cut.frames[cut.first : cut.stop] for cut in cuts])).to(device)
