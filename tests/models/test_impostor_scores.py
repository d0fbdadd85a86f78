from typing import Any

import numpy as np
import pytest

from earmark.core.errors import InputError
from earmark.models.calibration import Calibration
from earmark.models.impostor_scores import ImpostorScores

MEASURED = ImpostorScores(mean=(0.1, 0.01, 0.02, -0.02), deviation=(0.17, 0.02, 0.01, -0.01))


def drawn(count: int = 40_000) -> tuple[np.ndarray, ...]:
    """Cosines of impostors under random conditions, distributed as `MEASURED` says, and the conditions."""
    generator = np.random.default_rng(0)
    test_s, enrolled_s = 2 ** generator.uniform(-1, 3, count), 2 ** generator.uniform(0, 3, count)
    snr_db = generator.choice([5.0, 15.0, 40.0, np.inf], count)
    noise = np.clip((25 - snr_db) / 10, 0, 2)
    conditions = np.stack([np.ones(count), np.log2(test_s), np.log2(enrolled_s), noise])
    mean, deviation = MEASURED.mean @ conditions, MEASURED.deviation @ conditions
    return mean + deviation * generator.standard_normal(count), test_s, enrolled_s, snr_db


def test_normalized_scores_of_impostors_are_distributed_alike_under_all_conditions() -> None:
    cosines, test_s, enrolled_s, snr_db = drawn()
    scores = MEASURED.normalized(cosines, test_s, enrolled_s, snr_db)
    threshold = np.quantile(scores, 0.95)
    for chosen in (test_s < 1, test_s > 4, enrolled_s > 4, snr_db == 5, np.isinf(snr_db)):
        assert np.mean(scores[chosen] >= threshold) == pytest.approx(0.05, abs=0.01)


def test_the_reference_conditions_keep_the_cosine() -> None:
    assert float(MEASURED.normalized(0.63, 1.0, 3.0, np.inf)) == pytest.approx(0.63)
    assert float(MEASURED.normalized(0.63, 1.0, 3.0, 25.0)) == pytest.approx(0.63)


def test_beyond_the_measured_range_conditions_do_not_matter() -> None:
    assert float(MEASURED.normalized(0.5, 60, 100, 90)) == float(MEASURED.normalized(0.5, 10, 10, 25))
    assert float(MEASURED.normalized(0.5, 0.01, 0.1, -30)) == float(MEASURED.normalized(0.5, 0.5, 1, 5))


def test_a_fit_finds_the_coefficients_of_the_lengths_and_half_of_that_of_the_noise() -> None:
    found = ImpostorScores.fit(*drawn())
    np.testing.assert_allclose(found.mean[:3], MEASURED.mean[:3], atol=0.01)
    np.testing.assert_allclose(found.deviation[:3], MEASURED.deviation[:3], atol=0.01)
    assert found.mean[3] == pytest.approx(MEASURED.mean[3] / 2, abs=0.005)


def test_a_fit_without_noise_has_no_coefficient_for_it() -> None:
    cosines, test_s, enrolled_s, _ = drawn(1000)
    assert ImpostorScores.fit(cosines, test_s, enrolled_s, np.full(1000, 60.0)).mean[3] == 0


def test_a_card_keeps_the_coefficients() -> None:
    calibration = Calibration((0.01, 0.05), (0.5, 0.4), 20.0, "false_accepts", impostors=MEASURED)
    assert Calibration.from_card({"calibration": calibration.to_card()}, "voices", "false_accepts") == calibration
    assert "impostors" not in Calibration((0.01, 0.05), (0.5, 0.4), 20.0, "false_accepts").to_card()


@pytest.mark.parametrize("damaged", [{}, {"mean": [0, 0, 0]}, {"mean": [0, 0], "deviation": [0, 1]}, 3])
def test_a_damaged_entry_is_refused(damaged: Any) -> None:
    card = {"calibration": {"false_accepts": [0.05], "threshold": [0.4], "slope": 20.0, "impostors": damaged}}
    with pytest.raises(InputError, match="damaged"):
        Calibration.from_card(card, "voices", "false_accepts")
