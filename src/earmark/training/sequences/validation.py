"""Validation of a segment network during training."""

import numpy as np
import torch

from earmark.evaluation.protocols import retrieval
from earmark.training.nn.losses import AnyLossSettings
from earmark.training.sequences.dataset import DrawBatch, SegmentBatch
from earmark.training.sequences.networks import Network, embed_cuts, project
from earmark.training.sequences.segment_frames import SegmentFrames

_AT_ONCE = 256
_BATCHES = 8


class SequenceValidation:
    """Computes the MAP of labeled segments, and the loss on held-out batches.

    Args:
        network: the network in training.
        loss: settings of the loss; the validation uses the initial values of its trainable scale and bias.
        labeled: labeled segments, or None.
        held_out: held-out batches, or None.
        device: device of the network.
    """

    def __init__(
        self,
        network: Network,
        loss: AnyLossSettings,
        labeled: SegmentFrames | None,
        held_out: DrawBatch | None,
        device: torch.device,
    ) -> None:
        self.network, self.labeled, self.device = network, labeled, device
        # All validations use the same batches, so that waves are stretched only once.
        self.held_out = [] if held_out is None else [_in_memory(held_out(number)) for number in range(_BATCHES)]
        self.loss = loss.build(classes=0, dimension=network.settings.dimension) if self.held_out else None

    @torch.inference_mode()
    def metrics(self) -> dict[str, float]:
        """Compute ``map`` and ``map_at_r`` with labeled segments, and ``held_out_loss`` with held-out batches.

        If there are several speakers, each segment is compared with segments of other speakers only, so that similar
        voices do not raise the MAP.
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

    def _loss(self, batch: SegmentBatch) -> float:
        assert self.loss is not None
        rows = np.arange(2 * len(batch.labels))
        # The projection is applied as in training; the published code omits it in validation.
        embeddings = project(self.network, embed_cuts(self.network, batch.cut(rows), self.device)).float()
        return float(self.loss.to(self.device)(embeddings.unflatten(0, (-1, 2)), torch.from_numpy(batch.labels)))


def _in_memory(batch: SegmentBatch) -> SegmentBatch:
    cuts = batch.cut(np.arange(2 * len(batch.labels)))
    return SegmentBatch(batch.labels, lambda rows: [cuts[row] for row in rows])
