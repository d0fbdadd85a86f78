import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.models import calibration


def test_a_listed_rate_gives_its_threshold(stand_in):
    assert [calibration.threshold(stand_in, rate) for rate in (0.1, 1, 100)] == [0.9, 0.85, 0.5]


def test_between_two_rates_the_logarithm_counts(stand_in):
    assert calibration.threshold(stand_in, (10 * 50) ** 0.5) == pytest.approx((0.75 + 0.6) / 2)


@pytest.mark.parametrize("rate", [0.09, 101, 0, -1, float("nan"), float("inf")])
def test_a_rate_beyond_the_listed_ones_is_refused_naming_them(stand_in, rate):
    with pytest.raises(InputError, match=r"false_alarms_per_hour: .* 'stand-in' was calibrated for; .* 0\.1 to 100$"):
        calibration.threshold(stand_in, rate)


@pytest.mark.parametrize("rate", [0.005, 0.11, 0, 1, float("nan")])
def test_a_share_of_other_voices_beyond_the_listed_ones_is_refused_naming_them(stand_in_speaker, rate):
    assert calibration.speaker_threshold(stand_in_speaker, 0.1) == pytest.approx(0.7)
    with pytest.raises(InputError, match=r"false_accepts: .* was calibrated for; choose one from 0\.01 to 0\.1$"):
        calibration.speaker_threshold(stand_in_speaker, rate)


@given(a=st.floats(0.1, 100), b=st.floats(0.1, 100))
def test_more_false_alarms_never_raise_the_threshold(make_encoder, a, b):
    fewer, more = sorted((a, b))
    encoder = make_encoder()
    assert calibration.threshold(encoder, fewer) >= calibration.threshold(encoder, more)


@pytest.mark.parametrize("card", [{}, {"calibration": None}, {"calibration": {"threshold": []}}])
def test_a_card_without_calibration_says_how_to_get_one(make_encoder, card):
    encoder = make_encoder(card=card)
    with pytest.raises(InputError, match=r"'stand-in': its card holds no calibration.*earmark export"):
        calibration.threshold(encoder, 1)
    with pytest.raises(InputError, match="earmark export"):
        calibration.probability(encoder, 0.5, 0.5)


def test_an_uncalibrated_encoder_that_learned_from_sequences_is_not_sent_to_the_export_that_cannot_help(make_encoder):
    encoder = make_encoder(card={"recipe": {"kind": "sequences"}})
    with pytest.raises(InputError, match=r"no calibration; adapt from base with `earmark adapt`.*encoder of words$"):
        calibration.threshold(encoder, 1)


def test_probability_is_a_half_at_the_threshold_and_rises(stand_in):
    assert calibration.probability(stand_in, 0.7, 0.7) == 0.5
    rising = [calibration.probability(stand_in, score, 0.7) for score in (-1, 0.5, 0.7, 0.8, 1)]
    assert rising == sorted(rising)
    assert 0 < rising[0] < 0.01
    assert 0.99 < rising[-1] < 1
