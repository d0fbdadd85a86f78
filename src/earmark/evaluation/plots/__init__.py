"""Plots of evaluations: Matplotlib figures without global state."""

from earmark.evaluation.plots.average_precision import average_precision_plot
from earmark.evaluation.plots.class_means import class_means, class_means_plot
from earmark.evaluation.plots.confusion import confusion_plot
from earmark.evaluation.plots.cost import cost_plot
from earmark.evaluation.plots.det import det_plot, normal_deviate
from earmark.evaluation.plots.figures import save
from earmark.evaluation.plots.per_word import per_word_plot, word_difference_plot
from earmark.evaluation.plots.projection import projection_plot, sampled
from earmark.evaluation.plots.roc import roc_plot
from earmark.evaluation.plots.rounds import rounds_plot
from earmark.evaluation.plots.scores import score_plot

__all__ = [
    "average_precision_plot",
    "class_means",
    "class_means_plot",
    "confusion_plot",
    "cost_plot",
    "det_plot",
    "normal_deviate",
    "per_word_plot",
    "projection_plot",
    "roc_plot",
    "rounds_plot",
    "sampled",
    "save",
    "score_plot",
    "word_difference_plot",
]
