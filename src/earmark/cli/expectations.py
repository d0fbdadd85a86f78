"""What the command line prints about a new keyword: expected misses and false alarms, and what it resembles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from earmark.cli import console

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.spotting.keyword import Keyword

# Measured on wake words in other voices, see benchmarks/results/typed-words.md.
ONE_TAKE = "with one take usually about 25 % missed, with five 10 %"
TYPED = "a typed word alone is usually missed 25 % of the time; with one take 10 %"
ONE_TAKE_AND_TYPED = "with one take of a typed word usually about 10 % missed"
LEAST_GAIN = 0.03
"""More takes are recommended when they lower the misses by this much."""


def print_expectations(keyword: "Keyword", others: "Sequence[Keyword]", encoder: "Encoder") -> None:
    """Print what to expect of a keyword whose threshold was measured; nothing for another one.

    Args:
        keyword: enrolled with this encoder.
        others: keywords of the same store.
        encoder: of the keyword.
    """
    from earmark.spotting.confusion import similar_keywords, similar_words
    from earmark.spotting.expectation import rare_detections
    from earmark.spotting.lexicon import load_lexicon

    rate = keyword.calibration.false_alarms_per_hour(keyword.threshold)
    if rate is None:
        return
    second = keyword.calibration.verifier
    misses = keyword.calibration.expected_misses
    if second is not None:
        rate, misses = second.tail.rate(keyword.threshold), second.expected_misses
    console.say(f"expected: {_number(rate)} false alarm{'s' * (rate != 1)} per hour, {_misses_text(misses, keyword)}")
    with console.progress_bar() as progress:
        lexicon = load_lexicon(encoder, progress=progress)
    if words := similar_words(keyword, encoder, lexicon):
        console.say(f"sounds like: {', '.join(words)}")
    for name in similar_keywords(keyword, others, encoder):
        console.note(
            f"takes of {name!r} trigger {keyword.name!r}, or the other way round; of two such keywords in one stream, "
            "the better match is reported"
        )
    if note := rare_detections(keyword):
        console.note(note)


def _misses_text(misses: float | None, keyword: "Keyword") -> str:
    """Expected misses with the takes of a keyword, and with more of them."""
    from earmark.spotting.expectation import misses_with

    count = len(keyword.takes)
    if misses is None:
        return TYPED if not count else ONE_TAKE_AND_TYPED if keyword.synthetic else ONE_TAKE
    text = f"{_percent(misses)} missed"
    more = max(2, 5 - count) if count < 5 else 5
    then = misses_with(misses, count, more)
    if misses - then < LEAST_GAIN:
        return text
    return f"{text}; {more} more takes would lower that to {_percent(then)}"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.005 else f"about {100 * share:.0f} %"


def _number(rate: float) -> str:
    return "less than 0.1" if rate < 0.05 else f"{rate:.1f}"
