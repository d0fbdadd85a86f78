"""Which encoder scores which keyword: each keyword needs the one that enrolled it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.core.errors import EarmarkError
from earmark.spotting.enrolled import EncoderMismatch, check_encoder
from earmark.spotting.keyword import Keyword

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder


@dataclass(frozen=True)
class EncoderChoice:
    """The encoders of keywords.

    Attributes:
        encoders: loaded, by fingerprint.
        keywords: those whose encoder is loaded.
        skipped: one line for each other keyword, which names it and the cure.
    """

    encoders: dict[str, Encoder]
    keywords: list[Keyword]
    skipped: list[str]

    def of(self, keyword: Keyword) -> Encoder:
        """The encoder of one of the keywords."""
        return self.encoders[keyword.encoder]


def matching_encoders(keywords: Sequence[Keyword], given: Encoder | Sequence[Encoder] | None) -> list[Encoder]:
    """The encoders that keywords need.

    Args:
        keywords: each of them needs the encoder that enrolled it.
        given: encoders to choose from; None for the shipped ones.

    Raises:
        EncoderMismatch: the encoder of a keyword is not among them.
    """
    from earmark.models.encoder import load_encoder, shipped_encoder

    if given is None:
        names = {keyword.encoder: shipped_encoder(keyword.encoder) for keyword in keywords}
        encoders = [load_encoder(name) for name in names.values() if name is not None]
        if not encoders:
            encoders = [load_encoder()]
    else:
        encoders = list(given) if isinstance(given, Sequence) else [given]
    known = {encoder.fingerprint: encoder for encoder in encoders}
    for keyword in keywords:
        if keyword.encoder in known:
            continue
        if len(known) == 1:
            check_encoder(keyword, encoders[0])
        names_of = ", ".join(f"{encoder.name!r} ({encoder.fingerprint[:12]})" for encoder in known.values())
        raise EncoderMismatch(
            f"keyword {keyword.name!r} was enrolled with encoder {keyword.encoder[:12]}, which is none of {names_of}; "
            "convert it: earmark keywords reembed",
            keyword.noun,
        )
    return list(known.values())


def choose_encoders(
    keywords: Sequence[Keyword], paths: Mapping[str, Path], given: Sequence[Encoder] = ()
) -> EncoderChoice:
    """Load the encoders that keywords need: a given one, a shipped one, or one whose file is known.

    Args:
        keywords: of any encoders.
        paths: files of encoders by their fingerprints.
        given: encoders that are loaded already.
    """
    encoders = {encoder.fingerprint: encoder for encoder in given}
    faults: dict[str, str] = {}
    for fingerprint in dict.fromkeys(keyword.encoder for keyword in keywords):
        if fingerprint not in encoders:
            found = _load(fingerprint, paths.get(fingerprint))
            if isinstance(found, str):
                faults[fingerprint] = found
            else:
                encoders[fingerprint] = found
    skipped = [
        f"keyword {keyword.name!r} cannot be used: its encoder {keyword.encoder[:12]} {faults[keyword.encoder]}; give "
        f"the file, or convert the keyword: earmark keywords reembed {shlex.quote(keyword.name)}"
        for keyword in keywords
        if keyword.encoder in faults
    ]
    return EncoderChoice(encoders, [keyword for keyword in keywords if keyword.encoder in encoders], skipped)


def _load(fingerprint: str, path: Path | None) -> Encoder | str:
    """The encoder with this fingerprint, or why it is not available."""
    from earmark.models.encoder import load_encoder, shipped_encoder

    name = shipped_encoder(fingerprint)
    if name is None and path is None:
        return "does not ship with earmark"
    try:
        encoder = load_encoder(name or path)
    except EarmarkError as error:
        return f"cannot be loaded ({str(error).partition(';')[0]})"
    if encoder.fingerprint != fingerprint:
        return f"is no longer in {path}"
    return encoder
