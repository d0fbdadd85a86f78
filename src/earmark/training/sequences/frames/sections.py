"""Frames of a section of speech, computed with context before and after the section."""

import math

import numpy as np
from pydantic import Field

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.config import Settings
from earmark.core.errors import InputError
from earmark.training.sequences.frames.source import Floats, FrameSource, times_s

_ROUNDING_S = 1e-6


class ContextSettings(Settings):
    """Settings of how frames of a section are computed: with how much context, and in chunks of which length."""

    context_s: float = Field(
        5.0, ge=0, description="context before and after a section for computing its frames, in seconds"
    )
    longest_s: float = Field(
        20.0, gt=0, description="maximum length of a chunk, in seconds; longer sections are divided into chunks"
    )
    shortest_s: float = Field(0.04, ge=0, description="shorter sections, in seconds, are dropped: they have no frames")


def section_frames(
    source: FrameSource, wave: Wave, start_s: float, end_s: float, settings: ContextSettings
) -> tuple[Floats, float]:
    """Compute the frames whose times are in a section, as Algayres et al. (2022) do.

    The times of all frames of a recording are on the grid first_s + i · hop, for any section. The chunks of a long
    section therefore join without gaps, and overlapping sections have frames at the same times.

    Args:
        source: computes the frames.
        wave: the whole recording, shape (n,), 16 kHz.
        start_s: start of the section, in seconds.
        end_s: end of the section, in seconds.
        settings: context and chunk length.

    Returns:
        Frames, shape (t, width), and the time of the first frame in the recording, in seconds.

    Raises:
        InputError: the section starts after the end of the recording.
    """
    pieces = [np.zeros((0, source.width), np.float32)]
    first_s = start_s
    if end_s - start_s < settings.shortest_s:
        return pieces[0], first_s
    if start_s * SAMPLE_RATE >= len(wave):
        raise InputError(
            f"a section starts at {start_s:g} s, but its recording ends at {len(wave) / SAMPLE_RATE:.2f} s; "
            "correct the times"
        )
    context_s = min(settings.context_s, source.reach_s)
    # The tolerance keeps rounding from adding an empty chunk.
    chunks = max(1, math.ceil((end_s - start_s) / settings.longest_s - 1e-6))
    for chunk in range(chunks):
        is_last = chunk == chunks - 1
        from_s = start_s + chunk * settings.longest_s
        to_s = end_s if is_last else from_s + settings.longest_s
        begin = max(0, math.floor((from_s - context_s) * SAMPLE_RATE / source.hop)) * source.hop
        frames = source.frames(wave[begin : math.ceil((to_s + context_s) * SAMPLE_RATE)])
        # Times in lists are rounded to decimals, times of frames are sums of hops.
        at_s = begin / SAMPLE_RATE + times_s(source, len(frames)) + _ROUNDING_S
        kept = (at_s >= from_s) & ((at_s <= to_s + 2 * _ROUNDING_S) if is_last else (at_s < to_s))
        if kept.any() and not sum(map(len, pieces)):
            first_s = float(at_s[kept][0]) - _ROUNDING_S
        pieces.append(frames[kept])
    return np.concatenate(pieces), first_s
