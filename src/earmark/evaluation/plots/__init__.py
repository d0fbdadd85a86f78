"""Pictures of an evaluation: Matplotlib figures without global state."""

from earmark.evaluation.plots.confusion import confusion_plot
from earmark.evaluation.plots.det import det_plot, normal_deviate
from earmark.evaluation.plots.figures import save
from earmark.evaluation.plots.projection import projection_plot, sampled
from earmark.evaluation.plots.roc import roc_plot
from earmark.evaluation.plots.scores import score_plot

__all__ = [
    "confusion_plot",
    "det_plot",
    "normal_deviate",
    "projection_plot",
    "roc_plot",
    "sampled",
    "save",
    "score_plot",
]
