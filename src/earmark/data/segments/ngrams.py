"""N-grams of phones or words as segments with labels such as `HH,AH,L,OW`.

The published reader of these lists drops the last n-gram, and each n-gram with the label of the n-gram before. This
module and `earmark.data.lists.segments` keep them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.data.alignment.forced import Alignment, Phone, Word
from earmark.data.corpora.folder import SOUND_SUFFIXES
from earmark.data.lists.list_format import FRAME_S
from earmark.data.lists.segments import SpeechSegment
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip

CountRange = Annotated[tuple[int, int], BeforeValidator(lambda n: [*n, *n] if len(n) == 1 else n)]
"""Smallest and largest number of units; a single number is both."""

UnitKind = Literal["phones", "words"]
Unit = Phone | Word
"""A phone or a word, with start and end in seconds."""

# Labels of pauses inside a word.
_PAUSES = frozenset({"", "sil", "sp", "spn"})


class NgramRules(Settings):
    """Settings: which n-grams of a sentence become segments."""

    unit: UnitKind = Field("phones", description="Unit of the n-grams.")
    n: CountRange = Field((1, 5), description="Number of units in an n-gram, or the smallest and the largest number.")
    shortest_s: float = Field(0.08, ge=FRAME_S, description="Drop n-grams that are shorter.")
    longest_s: float = Field(2.0, ge=FRAME_S, description="Drop n-grams that are longer.")
    gap_s: float = Field(0.1, ge=0, description="Longest pause between two units of an n-gram.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not 1 <= self.fewest <= self.most:
            raise InputError(
                f"{self.fewest}-{self.most} is not a range of whole numbers from 1 on; write the smaller number first",
                key="n",
            )
        if self.longest_s < self.shortest_s:
            raise InputError(
                f"{self.longest_s:g} is less than shortest_s, {self.shortest_s:g}; raise longest_s", key="longest_s"
            )
        return self

    @property
    def fewest(self) -> int:
        """Smallest number of units in an n-gram."""
        return self.n[0]

    @property
    def most(self) -> int:
        """Largest number of units in an n-gram."""
        return self.n[1]

    def allow(self, start_s: float, end_s: float) -> bool:
        """Whether the length of an n-gram is allowed."""
        return self.shortest_s - 1e-6 <= end_s - start_s <= self.longest_s + 1e-6


def units_of(alignment: Alignment, kind: UnitKind, where: str = "") -> list[Unit]:
    """The phones or words of an alignment, in order.

    Args:
        alignment: alignment of a sentence.
        kind: phones or words.
        where: the recording, for messages.

    Raises:
        InputError: a word has no phones, or a unit has a comma.
    """
    units: list[Unit] = []
    for word in alignment.words:
        if kind == "phones" and not word.phones:
            raise InputError(
                f"{where}: {word.text!r} at {word.start_s:g} s has no phones in the alignment; align with phones, or"
                " choose words",
                key="unit",
            )
        units += word.phones if kind == "phones" else (word,)
    spoken = [unit for unit in units if unit.text.lower() not in _PAUSES and unit.end_s > unit.start_s]
    for unit in spoken:
        if "," in unit.text:
            raise InputError(
                f"{where}: {unit.text!r} at {unit.start_s:g} s has a comma, which separates units; rename it in the"
                " alignment"
            )
    return sorted(spoken, key=lambda unit: unit.start_s)


def label_of(units: Sequence[Unit]) -> str:
    """Join units into a label, with commas between them.

    >>> label_of([Word("zoom in", 0.0, 0.5), Word("now", 0.5, 0.9)])
    'zoom_in,now'
    """
    return ",".join("_".join(unit.text.split()) for unit in units)


def ngrams(
    clips: Iterable[Clip],
    alignments: Iterable[Alignment],
    rules: NgramRules | None = None,
    *,
    sections: Mapping[str, Sequence[Span]] | None = None,
) -> Iterator[SpeechSegment]:
    """Yield all n-grams of aligned sentences, sentence by sentence, sorted by start and then by end.

    Args:
        clips: sentences.
        alignments: alignment of each sentence; times count from the start of the file.
        rules: which n-grams to list.
        sections: sections by recording without suffix (see `stem`); each n-gram is inside a section. None makes a
            section of each run of units without a long pause.

    Raises:
        InputError: as in `units_of`; or all sections are of other recordings.
    """
    rules = rules or NgramRules()
    is_matched = sections is None
    for clip, alignment in zip(clips, alignments, strict=True):
        units = units_of(alignment, rules.unit, clip.path)
        if sections is None:
            sectioned = [(_around(run, clip), run) for run in _runs(units, rules.gap_s)]
        else:
            is_matched = is_matched or stem(clip.path) in sections
            sectioned = [
                (section, run)
                for section in sections.get(stem(clip.path), ())
                for run in _runs([unit for unit in units if section.holds(unit.start_s, unit.end_s)], rules.gap_s)
            ]
        for section, run in sectioned:
            yield from _ngrams_of(run, section, rules)
    if not is_matched and sections is not None:
        raise InputError(
            f"all sections are of recordings without clips, such as {next(iter(sections), 'none')}; use the paths of"
            " the clips",
            key="sections",
        )


def transcribe(
    segments: Iterable[SpeechSegment],
    units: Mapping[str, Sequence[Unit]],
    rules: NgramRules | None = None,
) -> Iterator[SpeechSegment]:
    """Label segments by the units in them, and yield the segments with an allowed number of units.

    A unit belongs to a segment if the middle of the unit is inside.

    Args:
        segments: segments, such as those of a grid.
        units: units of each recording, in order, by the recording's path without suffix (see `stem`).
        rules: allowed number of units; the other rules do not apply.

    Raises:
        InputError: no segment is of a recording that has units.
    """
    rules = rules or NgramRules()
    is_matched = False
    unmatched = ""
    for segment in segments:
        spoken = units.get(stem(segment.section.path))
        if spoken is None:
            unmatched = unmatched or segment.section.path
            continue
        is_matched = True
        inside = [unit for unit in spoken if segment.start_s <= (unit.start_s + unit.end_s) / 2 < segment.end_s]
        if rules.fewest <= len(inside) <= rules.most:
            yield replace(segment, label=label_of(inside))
    if not is_matched:
        raise InputError(
            f"all segments are of recordings without alignment, such as {unmatched}; use the paths of aligned"
            f" recordings, such as {', '.join(list(units)[:2])}",
            key="segments",
        )


def stem(path: str) -> str:
    """A path without the suffix of an audio file, as alignments name recordings.

    >>> stem("wav/anna.flac"), stem("wav/dr.smith")
    ('wav/anna', 'wav/dr.smith')
    """
    start, dot, suffix = path.rpartition(".")
    return start if dot and f".{suffix.lower()}" in SOUND_SUFFIXES else path


def _runs(units: Sequence[Unit], gap_s: float) -> Iterator[list[Unit]]:
    """Split units at pauses that are longer than `gap_s`."""
    run: list[Unit] = []
    for unit in units:
        if run and unit.start_s - run[-1].end_s > gap_s + 1e-6:
            yield run
            run = []
        run.append(unit)
    if run:
        yield run


def _around(run: Sequence[Unit], clip: Clip) -> Span:
    return Span(clip.path, clip.speaker, run[0].start_s, max(unit.end_s for unit in run))


def _ngrams_of(run: Sequence[Unit], section: Span, rules: NgramRules) -> Iterator[SpeechSegment]:
    for first in range(len(run)):
        for stop in range(first + rules.fewest, min(first + rules.most, len(run)) + 1):
            units = run[first:stop]
            start_s, end_s = units[0].start_s, units[-1].end_s
            if rules.allow(start_s, end_s):
                yield SpeechSegment(section, start_s, end_s, label_of(units))
