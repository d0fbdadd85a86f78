from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.core.errors import InputError
from earmark.data.lists.spans import Span
from earmark.training.sequences.samplers import (
    GoldSampler,
    GoldSettings,
    PairSampler,
    PairSettings,
    SectionSampler,
    SectionSettings,
)


def sections_of(counts, length_s=1.3):
    """`sections_of({"anna": 20})`: this number of sections of each speaker, in one recording each."""
    return [
        Span(f"{speaker}.wav", speaker, 2.0 * number, 2.0 * number + length_s)
        for speaker, count in counts.items()
        for number in range(count)
    ]


def settings(**changes):
    return SectionSettings(**{"segments": 10_000, "least_sections": 1} | changes)


def segments_of(section, step_s=0.16, shortest_s=0.16, longest_s=0.96):
    """Segments on the grid by a plain loop; in whole steps and hundredths of a millisecond."""
    found, line = set(), 0
    while line * step_s < section.end_s - section.start_s:
        start_s = section.start_s + line * step_s
        for steps in range(1, 100):
            end_s = start_s + steps * step_s
            if shortest_s - 1e-6 <= end_s - start_s <= longest_s + 1e-6 and end_s <= section.end_s - 0.01 + 1e-6:
                found.add((round(start_s, 5), round(end_s, 5)))
        line += 1
    return found


@pytest.mark.parametrize("length_s", [1.2, 1.28, 1.289, 1.29, 1.3, 2.71, 7.0])
def test_a_batch_holds_all_segments_on_the_grid_that_end_10_ms_before_their_section(length_s):
    sections = sections_of({"anna": 5}, length_s)
    batch = SectionSampler(sections, settings(), 0).draw(0)
    for place, number in enumerate(batch.sections.tolist()):
        mine = np.round(batch.bounds[batch.section_index == place], 5)
        assert {tuple(bounds) for bounds in mine.tolist()} == segments_of(sections[number])
        assert len(mine) == len(segments_of(sections[number]))


def test_the_settings_give_the_grid():
    sections = sections_of({"anna": 2}, 3.0)
    batch = SectionSampler(sections, settings(step_s=0.3, least_s=0.5, longest_s=1.2), 0).draw(0)
    mine = np.round(batch.bounds[batch.section_index == 0], 5)
    wanted = segments_of(sections[batch.sections[0]], 0.3, 0.5, 1.2)
    assert {tuple(bounds) for bounds in mine.tolist()} == wanted


def test_a_batch_has_the_wanted_number_of_different_segments():
    batch = SectionSampler(sections_of({"anna": 30}), settings(segments=250), 0).draw(0)
    rows = {(int(owner), *bounds) for owner, bounds in zip(batch.section_index, batch.bounds.tolist(), strict=True)}
    assert len(rows) == len(batch.section_index) == 250
    few = SectionSampler(sections_of({"anna": 3}), settings(segments=250), 0).draw(0)
    assert len(few.section_index) == 3 * len(segments_of(sections_of({"anna": 1})[0]))


def test_all_segments_are_drawn_with_equal_probability():
    draws = SectionSampler(sections_of({"anna": 4}), settings(segments=20), 0)
    seen = Counter(
        (int(batch.sections[owner]), *bounds)
        for batch in map(draws.draw, range(300))
        for owner, bounds in zip(batch.section_index, batch.bounds.tolist(), strict=True)
    )
    every = 4 * len(segments_of(sections_of({"anna": 1})[0]))
    assert len(seen) == every
    expected = 300 * 20 / every
    assert max(abs(count - expected) for count in seen.values()) < 5 * np.sqrt(expected)


def test_sections_are_drawn_without_replacement_until_they_are_longer_than_20_s_or_20():
    lengths = np.random.default_rng(1).uniform(1.2, 9.0, 40)
    sections = [Span("a.wav", "anna", 10.0 * n, 10.0 * n + length) for n, length in enumerate(lengths.tolist())]
    for number in range(30):
        chosen = SectionSampler(sections, settings(segments=2), 7).draw(number).sections
        total = np.cumsum(lengths[chosen])
        assert len(set(chosen.tolist())) == len(chosen) <= 20
        assert total[-1] > 20
        assert len(total) == 1 or total[-2] <= 20
    short = SectionSampler(sections_of({"anna": 50}, 0.9), settings(segments=2, shortest_s=0.5), 7)
    assert all(len(short.draw(number).sections) == 20 for number in range(10))


def test_all_sections_of_a_batch_are_of_one_speaker():
    sections = sections_of({"anna": 20, "bert": 25})
    draws = SectionSampler(sections, settings(segments=2), 0)
    for number in range(20):
        assert len({sections[row].speaker for row in draws.draw(number).sections.tolist()}) == 1


def test_the_probability_of_a_speaker_is_proportional_to_the_sections():
    counts = {"anna": 20, "bert": 40, "cleo": 100}
    sections = sections_of(counts)
    draws = SectionSampler(sections, settings(segments=2, seconds=1.0, least_sections=20, longest_s=0.16), 0)
    seen = Counter(sections[draws.draw(number).sections[0]].speaker for number in range(800))
    for speaker, count in counts.items():
        share = count / 160
        assert abs(seen[speaker] - 800 * share) < 4 * np.sqrt(800 * share * (1 - share))


def test_the_two_tempos_of_a_section_are_uniform_and_independent():
    draws = SectionSampler(sections_of({"anna": 40}), settings(segments=2, longest_s=0.16), 0)
    tempo = np.concatenate([draws.draw(number).tempo for number in range(200)])
    assert tempo.min() >= 0.5
    assert tempo.max() <= 1.8
    for column in tempo.T:
        histogram = np.histogram(column, 5, (0.5, 1.8))[0] / len(column)
        np.testing.assert_allclose(histogram, 0.2, atol=0.03)
    assert abs(np.corrcoef(tempo.T)[0, 1]) < 0.06
    assert abs(np.corrcoef(tempo[:-1, 0], tempo[1:, 0])[0, 1]) < 0.06


def test_speakers_with_fewer_than_20_sections_of_1_2_s_are_never_drawn():
    sections = sections_of({"anna": 19, "bert": 20}) + [Span("a2.wav", "anna", 0.0, 1.19)] * 9
    draws = SectionSampler(sections, SectionSettings(segments=2), 0)
    assert {sections[draws.draw(number).sections[0]].speaker for number in range(40)} == {"bert"}
    with pytest.raises(InputError, match=r"data\.held_out: none of 1 speakers has 20 sections of 1\.2 s or more"):
        SectionSampler(sections_of({"anna": 19}), SectionSettings(), 0, "data.held_out")


def test_a_recording_of_an_unknown_speaker_counts_as_a_speaker():
    sections = [Span(f"{name}.wav", "", 2.0 * n, 2.0 * n + 1.3) for name in "ab" for n in range(20)]
    draws = SectionSampler(sections, SectionSettings(segments=2), 0)
    for number in range(10):
        assert len({sections[row].path for row in draws.draw(number).sections.tolist()}) == 1


def test_sections_with_a_single_segment_are_dropped():
    lone = sections_of({"anna": 5}, 0.2)
    with pytest.raises(InputError, match=r"lower episodes\.least_sections"):
        SectionSampler(lone, settings(shortest_s=0.1, seconds=0.1), 0)
    some = SectionSampler(sections_of({"anna": 5}, 0.33), settings(shortest_s=0.1, seconds=0.1), 0)
    assert all(len(some.draw(number).section_index) >= 2 for number in range(20))


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    sections = sections_of({"anna": 20, "bert": 25})
    draws = SectionSampler(sections, settings(segments=30), 4)
    fifth = draws.draw(5)
    again = SectionSampler(sections, settings(segments=30), 4)
    again.draw(2)
    for name in ("sections", "tempo", "section_index", "bounds", "seed"):
        np.testing.assert_array_equal(getattr(fifth, name), getattr(again.draw(5), name))
    assert not np.array_equal(fifth.tempo, draws.draw(6).tempo)
    assert not np.array_equal(fifth.tempo, SectionSampler(sections, settings(segments=30), 5).draw(5).tempo)


@pytest.mark.parametrize("tempo", [(1.8, 0.5), (0.0, 1.0)])
def test_a_descending_or_zero_tempo_range_is_refused(tempo):
    with pytest.raises(ValidationError):
        SectionSettings(tempo=tempo)


PAIRS = np.arange(60).reshape(30, 2)


def test_pairs_are_drawn_with_equal_probability_and_once_per_batch():
    draws = PairSampler(PAIRS, None, PairSettings(pairs=8), 0)
    batches = [draws.draw(number) for number in range(400)]
    assert all(batch.shape == (8, 2) and len(np.unique(batch[:, 0])) == 8 for batch in batches)
    assert all((batch[:, 1] == batch[:, 0] + 1).all() for batch in batches)
    seen = np.bincount(np.concatenate(batches)[:, 0] // 2, minlength=30)
    expected = 400 * 8 / 30
    assert np.abs(seen - expected).max() < 4 * np.sqrt(expected)
    np.testing.assert_array_equal(batches[7], PairSampler(PAIRS, None, PairSettings(pairs=8), 0).draw(7))


def test_a_short_list_of_pairs_is_one_batch():
    batch = PairSampler(PAIRS[:3], None, PairSettings(), 0).draw(0)
    assert sorted(batch[:, 0].tolist()) == [0, 2, 4]


def test_listed_batches_are_used_in_their_order():
    number = np.array([7, 2, 7, 2, 5, 7])
    draws = PairSampler(PAIRS[:6], number, PairSettings(pairs=2), 0)
    wanted = [[1, 3], [0, 2, 5]]  # batch 5 holds one pair, which has no negative
    for draw in range(4):
        np.testing.assert_array_equal(draws.draw(draw), PAIRS[wanted[draw % 2]])


def test_too_few_pairs_are_refused():
    with pytest.raises(InputError, match=r"data\.pairs"):
        PairSampler(PAIRS[:1], None, PairSettings(), 0)
    with pytest.raises(InputError, match=r"data\.pairs"):
        PairSampler(PAIRS[:3], np.arange(3), PairSettings(), 0)


def test_a_batch_has_two_segments_of_each_label():
    labels = np.random.default_rng(0).integers(0, 20, 100)
    draws = GoldSampler(labels, GoldSettings(labels=8), 0)
    for number in range(50):
        names, segments = draws.draw(number)
        assert len(set(names.tolist())) == 8
        np.testing.assert_array_equal(labels[segments], np.stack([names, names], 1))
        assert (segments[:, 0] != segments[:, 1]).all()


def test_the_probability_of_a_label_is_proportional_to_its_segments():
    # 60 labels of 2, 4 or 8 segments, and ten of one.
    counts = np.array([2, 4, 8] * 20 + [1] * 10)
    labels = np.repeat(np.arange(70), counts)
    draws = GoldSampler(labels, GoldSettings(labels=2), 0)
    seen = np.bincount(np.concatenate([draws.draw(number)[0] for number in range(1000)]), minlength=70)
    assert not seen[60:].any()
    shares = np.array([seen[kind:60:3].sum() for kind in range(3)]) / seen.sum()
    np.testing.assert_allclose(shares, np.array([2, 4, 8]) / 14, atol=0.04)


def test_segments_of_a_label_have_equal_probability():
    draws = GoldSampler(np.array([0, 0, 0, 1, 1]), GoldSettings(labels=2), 0)
    seen = np.bincount(np.concatenate([draws.draw(number)[1].ravel() for number in range(300)]))
    np.testing.assert_allclose(seen[:3] / 600, 1 / 3, atol=0.05)
    assert seen[3:].tolist() == [300, 300]


def test_gold_needs_two_labels_with_two_segments():
    with pytest.raises(InputError, match=r"data\.labeled"):
        GoldSampler(np.array([0, 0, 1, 2]), GoldSettings(), 0)
