"""Which metrics the tables and figures of a comparison show, and their titles."""

from collections.abc import Mapping

from earmark.evaluation.protocols import few_shot, identification, open_set, verification
from earmark.evaluation.reports.open_set import SHOWN as OPEN_SET_SHOWN
from earmark.training.compare.results import IDENTIFICATION, OPEN_SET, VERIFICATION

FEW_SHOT_COLUMNS = ("accuracy", "eer", "frr_at_far_10", "frr_at_far_2_5", "f1", "identification_5")
OPEN_SET_COLUMNS = tuple(key for key in OPEN_SET_SHOWN if key != "eer")
_COLUMNS = {
    OPEN_SET: (OPEN_SET_COLUMNS, open_set.METRICS),
    IDENTIFICATION: (tuple(identification.METRICS), identification.METRICS),
    VERIFICATION: (tuple(verification.METRICS), verification.METRICS),
}


def columns_of(condition: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Choose the metrics that the report's table of a test shows.

    Args:
        condition: condition of a few-shot test, such as `k5`, or the kind of any other test, as in `Result`.

    Returns:
        The keys of the metrics in the table, and the names of all metrics of this kind of test by their keys.
    """
    return _COLUMNS.get(condition, (FEW_SHOT_COLUMNS, few_shot.METRICS))


def is_cost(metric: str) -> bool:
    """Whether a metric is a cost, which is not shown in percent."""
    return metric.startswith("min_dcf")


def title_of(name: str, metric: str) -> str:
    """Make the title of a metric in tables and figures: `name`, with the unit % unless the metric is a cost."""
    return name if is_cost(metric) else f"{name} (%)"
