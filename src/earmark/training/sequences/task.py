"""Training task of sequence recipes: batches of stretched sections, of pairs, or of labeled segments."""

import numpy as np
import torch

from earmark.core.progress import Progress, no_progress
from earmark.training.nn.encoders.stream import FrameEncoder
from earmark.training.run.distributed import Processes
from earmark.training.run.task import Batch
from earmark.training.sequences.dataset import DrawBatch, SequenceDataset
from earmark.training.sequences.networks import build_network, embed_cuts, project
from earmark.training.sequences.recipe import SequenceRecipe
from earmark.training.sequences.validation import SequenceValidation

_SAMPLE = 4  # number of batches whose frames set the scale of the head


class SequenceTask:
    """Training task of a segment or stream encoder on stored frames; implements `TrainingTask`.

    Args:
        recipe: the recipe, of kind `sequences`.
        device: training device.
        processes: the processes that share each batch.
        progress: counts recordings that are packed, and speakers whose frames are computed.

    Raises:
        InputError: a list or recording is missing or damaged; there are too few segments; or the frames have another
            width than the network.
    """

    classes: tuple[str, ...] = ()

    def __init__(
        self,
        recipe: SequenceRecipe,
        device: torch.device,
        processes: Processes,
        *,
        progress: Progress = no_progress,
    ) -> None:
        source = recipe.frames.build_source(device)
        with processes.first_alone():
            dataset = SequenceDataset(recipe, source, device, progress=progress)
            self.draw = dataset.training(recipe.seed)
            held_out = dataset.held_out() if processes.is_first else None
            labeled = dataset.validation() if processes.is_first else None
        torch.manual_seed(recipe.seed)
        self.device = device
        self.model = build_network(recipe.encoder, source.width).to(device)
        if isinstance(self.model, FrameEncoder):
            self.model.head.fit_scale(_sample_frames(self.draw, device))
        self.validation = SequenceValidation(self.model, recipe.loss, labeled, held_out, device)

    def batch(self, step: int, generator: torch.Generator, processes: Processes) -> Batch:
        """Draw and embed this process's share of a batch, see `TrainingTask.batch`; `generator` is not used."""
        del generator
        drawn = self.draw(step)
        rows = np.arange(2 * len(drawn.labels))[processes.share(2 * len(drawn.labels))]
        embeddings = embed_cuts(self.model, drawn.cut(rows), self.device)
        return Batch(drawn.labels, 2, project(self.model, embeddings))

    def validate(self) -> dict[str, float]:
        """Evaluate the current weights on the validation data of the recipe, and return metrics by name."""
        return self.validation.metrics()


def _sample_frames(draw: DrawBatch, device: torch.device) -> torch.Tensor:
    """Collect the frames of a few training batches, shape (n, width), to which a stream encoder's head is scaled."""
    batches = [draw(number) for number in range(_SAMPLE)]
    cuts = [cut for batch in batches for cut in batch.cut(np.arange(len(batch.labels)))]
    return torch.from_numpy(np.concatenate([cut.frames[cut.first : cut.stop] for cut in cuts])).to(device)
