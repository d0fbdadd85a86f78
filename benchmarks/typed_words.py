"""Keywords from a typed word: misses with synthetic voices alone, and beside recordings.

    python benchmarks/typed_words.py [--half choose] [--data ../shared/data] [--prompts DIR]

Each wake word is enrolled from none to five recordings of mixed voices, without and with the word as the installed
synthesizers speak it, and is detected in the streams of streams.py. The script writes
benchmarks/results/typed-words.md.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from page import options_parser, write_page
from streams_measures import RATES, TARGETS, Outcome, missed_at, missed_by_detector, outcomes, pooled_rate, share
from streams_runs import Trial, enrolled, run
from streams_sets import BACKGROUND, WORDS_AS_SPOKEN, Corpora, stream_sets, word_clips

from earmark import Take, __version__, audio
from earmark.core.report import table
from earmark.data.synth.takes import synthesize_takes

SETS = ("wake words", "speech", "mixtures")
COUNTS = (0, 1, 3, 5)
CLIPS = 8  # of each draw: those after the first ones replace refused ones


def main() -> None:
    """Enroll, detect, and write the page."""
    parser = options_parser(__doc__, "typed-words.md")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--prompts", type=Path, help="folder of spoken prompts in G.722, one folder per language")
    parser.add_argument("--half", choices=("choose", "report"), default="choose", help="settle everything on choose")
    parser.add_argument("--streams", type=Path, default=Path("data/streams"), help="folder in which streams are kept")
    parser.add_argument("--draws", type=int, default=3, help="draws of the recordings")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    corpora = Corpora(options.data, options.prompts, options.half, 1.0)
    began = time.perf_counter()
    every = stream_sets(corpora, options.streams, with_conditions=False)
    sets = {name: every[name] for name in SETS}
    trials = {kind: list(own) for kind, own in by_kind(corpora, options.draws)}
    print(f"{sum(map(len, trials.values()))} keywords enrolled, {time.perf_counter() - began:.0f} s", flush=True)
    listed = [trial for own in trials.values() for trial in own]
    found = dict(
        zip(
            [trial.keyword.name for trial in listed],
            outcomes(sets, listed, run(sets, listed, options.workers)),
            strict=True,
        )
    )
    rows = [row(kind, [found[trial.keyword.name] for trial in own]) for kind, own in trials.items()]
    columns = [
        "recordings",
        "synthetic voices",
        "missed, default",
        *(f"{rate:g}/h" for rate in RATES),
        "false alarms/h",
    ]
    head = (
        f"# Keywords from a typed word\n\nHalf `{options.half}`, earmark {__version__}; made by "
        "`python benchmarks/typed_words.py`, whose first lines say what is measured. Percent; 95 % intervals.\n\n"
    )
    write_page(options.out, head + table(columns, rows))


def by_kind(corpora: Corpora, draws: int) -> Iterator[tuple[tuple[int, int], list[Trial]]]:
    """The keywords of each number of recordings and of synthetic voices."""
    folder = corpora.data / "wake_words"
    clips = sorted(word_clips(corpora, "wake_words").items())
    spoken = {label: synthesize_takes(WORDS_AS_SPOKEN.get(label, label)) for label, _ in clips}
    none: list[Take] = []
    for count in COUNTS:
        for voices in (0, 1) if count else (1,):
            trials = []
            for label, own in clips:
                for draw in range(draws if count else 1):
                    order = np.random.default_rng((5, draw)).permutation(len(own))[:CLIPS]
                    waves = [(own[place].path, audio.read(folder / own[place].path)) for place in order]
                    name = f"{label} {draw + 1}, {count} recordings, {'with' if voices else 'no'} voices"
                    trials.append(enrolled(name, label, "wake words", waves, count, spoken[label] if voices else none))
            yield (count, len(spoken[clips[0][0]]) if voices else 0), trials


def row(kind: tuple[int, int], found: list[Outcome]) -> list[str]:
    """A row of the table."""
    tests = [missed_by_detector, *(missed_at(rate) for rate in RATES)]
    missed = [share(found, test, TARGETS, "wake words") for test in tests]
    return [
        *map(str, kind),
        *(f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})" for value, low, high in missed),
        "{:.2f} ({:.2f}–{:.2f})".format(*pooled_rate(found, BACKGROUND)),
    ]


if __name__ == "__main__":
    main()
