"""How well a network in training embeds segments that it does not learn from."""

from collections.abc import Callable

import numpy as np
import torch

from earmark.evaluation.protocols import retrieval
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.sequences.batches import Drawn
from earmark.training.sequences.networks import Network, embed_cuts, project
from earmark.training.sequences.segments import SegmentFrames

_AT_ONCE = 256
_BATCHES = 8


class SequenceValidation:
    """MAP of labeled segments, and the loss on batches that nothing is learned from.

    Args:
        network: that learns.
        loss: which loss; a scale that it learns is here as it begins.
        labeled: segments with labels, or None.
        held_out: batches, or None.
        device: where the network is.
    """

    def __init__(
        self,
        network: Network,
        loss: AnyLossSettings,
        labeled: SegmentFrames | None,
        held_out: Callable[[int], Drawn] | None,
        device: torch.device,
    ) -> None:
        self.network, self.labeled, self.device = network, labeled, device
        # Always the same batches; what a stretched wave costs is paid once.
        self.held_out = [] if held_out is None else [_kept(held_out(number)) for number in range(_BATCHES)]
        self.loss = loss.build(classes=0, dimension=network.settings.dimension) if self.held_out else None

    @torch.inference_mode()
    def measure(self) -> dict[str, float]:
        """``map``, ``map_at_r``, ``held_out_loss``: those that there is something to measure on.

        Where several speak, a query's answers are those of other speakers, so that a voice cannot help.
        """
        self.network.eval()
        numbers: dict[str, float] = {}
        if self.labeled is not None:
            numbers |= self._precision(self.labeled)
        if self.held_out:
            numbers["held_out_loss"] = float(np.mean([self._loss(batch) for batch in self.held_out]))
        return numbers

    def _precision(self, labeled: SegmentFrames) -> dict[str, float]:
        rows = labeled.kept.tolist()
        pieces = [rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE)]
        vectors = torch.cat([embed_cuts(self.network, labeled.cuts(some), self.device) for some in pieces])
        clips = [labeled.listed.clips[row] for row in rows]
        speakers = [clip.speaker for clip in clips]
        similarities = retrieval.cosine_similarities(vectors.float().cpu().numpy())
        found = retrieval.compute_metrics(
            retrieval.precisions(similarities, [clip.label for clip in clips], speakers), speakers
        )
        ranking = found["across"] if np.isfinite(found["across"]["map"].value) else found["all"]
        return {name: value for name in ("map", "map_at_r") if np.isfinite(value := ranking[name].value)}

    def _loss(self, batch: Drawn) -> float:
        assert self.loss is not None
        rows = np.arange(2 * len(batch.labels))
        # In the space that is trained: the published code leaves the projection out here.
        embeddings = project(self.network, embed_cuts(self.network, batch.cut(rows), self.device)).float()
        return float(self.loss.to(self.device)(embeddings.unflatten(0, (-1, 2)), torch.from_numpy(batch.labels)))


def _kept(batch: Drawn) -> Drawn:
    cuts = batch.cut(np.arange(2 * len(batch.labels)))
    return Drawn(batch.labels, lambda rows: [cuts[row] for row in rows])
