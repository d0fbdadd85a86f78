import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.core.errors import InputError
from earmark.models.calibration import Calibration
from earmark.models.encoder import SHIPPED, Encoder, load_encoder
from earmark.models.speaker_encoder import SpeakerEncoder, load_speaker_encoder

RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0)
THRESHOLDS = (0.9, 0.87, 0.85, 0.82, 0.8, 0.75, 0.6, 0.5)
CALIBRATION = Calibration(RATES, THRESHOLDS, slope=20.0)


def test_a_listed_rate_gives_its_threshold():
    assert [CALIBRATION.threshold(rate) for rate in (0.1, 1, 100)] == [0.9, 0.85, 0.5]


def test_between_two_rates_the_threshold_follows_the_logarithm():
    assert CALIBRATION.threshold((10 * 50) ** 0.5) == pytest.approx((0.75 + 0.6) / 2)


@pytest.mark.parametrize("rate", [0.09, 101, 0, -1, float("nan"), float("inf")])
def test_a_rate_outside_the_calibrated_range_is_refused_by_its_name(rate):
    with pytest.raises(InputError, match=r"^false_alarms_per_hour: .* 0\.1 to 100$"):
        CALIBRATION.threshold(rate)
    with pytest.raises(InputError, match=r"^false_accepts: "):
        Calibration((0.01, 0.1), (0.9, 0.7), 20.0, "false_accepts").threshold(rate + 1)


@given(a=st.floats(0.1, 100), b=st.floats(0.1, 100))
def test_more_false_alarms_never_raise_the_threshold(a, b):
    fewer, more = sorted((a, b))
    assert CALIBRATION.threshold(fewer) >= CALIBRATION.threshold(more)


def test_the_probability_is_a_half_at_the_threshold_and_rises():
    assert CALIBRATION.probability(0.7, 0.7) == 0.5
    rising = [CALIBRATION.probability(score, 0.7) for score in (-1, 0.5, 0.7, 0.8, 1)]
    assert rising == sorted(rising)
    assert 0 < rising[0] < 0.01
    assert 0.99 < rising[-1] < 1


@pytest.mark.parametrize(
    "calibration",
    [
        CALIBRATION,
        Calibration((0.5, 1.0), (0.9, 0.8), 7.0, miss_rates=(0.2, 0.1), details={"keyword_hours": 3.5}),
        Calibration((0.01, 0.1), (0.9, 0.8), 7.0, "false_accepts", (0.2, 0.1), {"speakers": 30}),
    ],
)
def test_a_card_keeps_a_calibration(calibration):
    card = {"calibration": calibration.to_card()}
    assert Calibration.from_card(card, "encoder 'x'", calibration.rate_name) == calibration


def test_the_shipped_encoders_keep_every_key_of_their_calibration():
    encoders: list[Encoder | SpeakerEncoder] = [*map(load_encoder, SHIPPED), load_speaker_encoder()]
    assert [encoder.calibration.to_card() for encoder in encoders] == [
        encoder.card["calibration"] for encoder in encoders
    ]
    assert load_encoder("base").calibration.miss_rate(1.0) == 0.3457
    assert load_encoder("base").calibration.miss_rate(1.5) is None


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        "0.7",
        {"threshold": []},
        {"false_alarms_per_hour": [], "threshold": [], "slope": 1},
        {"false_alarms_per_hour": [2, 1], "threshold": [0.5, 0.6], "slope": 1},
        {"false_alarms_per_hour": [1, 2], "threshold": [0.5], "slope": 1},
        {"false_alarms_per_hour": [1], "threshold": ["high"], "slope": 1},
        {"false_accepts": [1], "threshold": [0.5], "slope": 1},
    ],
)
def test_a_card_without_a_usable_calibration_is_refused(found, make_encoder):
    with pytest.raises(InputError, match=r"encoder 'stand-in'.*card .*export"):
        make_encoder(card={"calibration": found}).calibration  # noqa: B018
    with pytest.raises(InputError, match=r"encoder 'stand-in'.*card .*export"):
        make_encoder(card={}).calibration  # noqa: B018


def test_an_uncalibrated_encoder_of_sequences_is_not_sent_to_an_export_that_cannot_help(make_encoder):
    with pytest.raises(InputError, match=r"earmark adapt"):
        make_encoder(card={"recipe": {"kind": "sequences"}}).calibration  # noqa: B018
