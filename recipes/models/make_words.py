"""Make recipes/models/words.tsv: the words that the shipped encoders learn from synthetic speech.

Run once, by hand: `python recipes/models/make_words.py > recipes/models/words.tsv`. Needs wordfreq and espeak-ng.

The 35 words of Speech Commands, and words with the same pronunciation, are left out in every language, because
encoders are evaluated on them.
"""

import random
import subprocess
import sys
from collections.abc import Iterable, Iterator

from wordfreq import top_n_list

SPEECH_COMMANDS = [
    "yes",
    "no",
    "up",
    "down",
    "left",
    "right",
    "on",
    "off",
    "stop",
    "go",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "bed",
    "bird",
    "cat",
    "dog",
    "happy",
    "house",
    "marvin",
    "sheila",
    "tree",
    "wow",
    "backward",
    "forward",
    "follow",
    "learn",
    "visual",
]
ENGLISH_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp")

# espeak-ng's code: (wordfreq's code, number of words). The most frequent words of a language are short function words;
# the first SKIP ranks are left out.
LANGUAGES = {
    "en": ("en", 2600), "es": ("es", 190), "fr": ("fr", 190), "de": ("de", 190), "it": ("it", 190), "pt": ("pt", 190),
    "nl": ("nl", 190), "pl": ("pl", 190), "ru": ("ru", 190), "tr": ("tr", 190), "ar": ("ar", 190), "hi": ("hi", 190),
    "sv": ("sv", 190), "fi": ("fi", 190), "el": ("el", 190), "uk": ("uk", 150), "ro": ("ro", 150),
    "cs": ("cs", 150), "hu": ("hu", 150), "id": ("id", 150), "ko": ("ko", 150),
}  # fmt: skip
OTHER_SCRIPTS = ("ru", "uk", "el", "ar", "hi", "ko")
SKIP = {"en": 250}
RARE_BEFORE = {"en": 14_000}
COARSE = (
    "fuck",
    "shit",
    "bitch",
    "nigg",
    "cunt",
    "dick",
    "cock",
    "puss",
    "porn",
    "sex",
    "rape",
    "slut",
    "whore",
    "fag",
    "nazi",
    "bastard",
    "penis",
    "vagina",
    "anal",
    "boob",
    "tits",
    "damn",
    "piss",
    "naked",
    "nude",
    "puta",
    "mierda",
    "merde",
    "putain",
    "scheiß",
    "cazzo",
    "merda",
    "kurwa",
    "хуй",
    "блять",
    "сука",
    "asshole",
)

# IPA symbols whose difference does not tell words of two languages apart.
FOLD = str.maketrans(
    {"ɹ": "r", "ɾ": "r", "ʁ": "r", "ɚ": "ə", "ɜ": "ə", "ɐ": "a", "ɑ": "o", "ɒ": "o", "ɔ": "o", "ɪ": "i", "ʊ": "u",
     "ɛ": "e", "æ": "a", "ʌ": "a", "ɡ": "g", "ɫ": "l", "ʋ": "v"}
)  # fmt: skip
MARKS = "ˈˌː̪̩ʲʰ̃ˑ͡ \u200d-.5112346˥˦˧˨˩"


def pronunciations(words: list[str], language: str) -> list[list[str]]:
    """The phonemes of each word by espeak-ng, without stress and length marks; empty for foreign words."""
    command = ["espeak-ng", "-q", "--ipa", "--sep=_", "-v", language]
    result = []
    for block in (words[first : first + 500] for first in range(0, len(words), 500)):
        out = subprocess.run(command, input="\n".join(block) + "\n", capture_output=True, text=True, check=True).stdout
        lines = [line.strip() for line in out.strip().split("\n")]
        if len(lines) != len(block):
            raise SystemExit(f"{language}: {len(block)} words but {len(lines)} lines from espeak-ng")
        for line in lines:
            # espeak-ng writes "(en)" before a word that it speaks in another language.
            foreign = "(" in line
            phones = ["".join(c for c in phone if c not in MARKS) for phone in line.replace(" ", "_").split("_")]
            result.append([] if foreign else [phone for phone in phones if phone])
    return result


def candidates(language: str, source: str) -> Iterator[str]:
    """Yield alphabetic words: frequent words in the order of their frequency, then rarer words in random order."""
    n_words = LANGUAGES[language][1]
    ranked = top_n_list(source, RARE_BEFORE.get(language, 5000))[SKIP.get(language, 120) :]
    shortest = 2 if language == "ko" else 4  # a Hangul letter is a syllable
    latin = language not in OTHER_SCRIPTS
    usable = [
        word for word in ranked
        if shortest <= len(word) <= 14 and all(c.isalpha() or "ऀ" <= c <= "ॿ" for c in word)
        and (all(c < "\u0250" for c in word) if latin else all(c > "\u0250" for c in word))
        and not any(stem in word for stem in COARSE)
    ]  # fmt: skip
    common = usable[: n_words * 6 // 10]
    rest = usable[len(common) :]
    random.Random(language).shuffle(rest)
    yield from common
    yield from rest


def sound(phones: Iterable[str], *, folded: bool = False) -> str:
    """The phonemes as one string; with `folded`, similar phonemes are replaced by one symbol to compare languages."""
    plain = "".join(phones)
    return plain.translate(FOLD) if folded else plain


def main() -> None:
    """Write the list to standard output."""
    taken: set[str] = set()
    forbidden = {
        sound(phones, folded=True) for accent in ENGLISH_ACCENTS for phones in pronunciations(SPEECH_COMMANDS, accent)
    }
    write = sys.stdout.write
    write("# Words for synthetic speech, one `language<TAB>word` a line (language codes of espeak-ng).\n")
    write("# Chosen by make_words.py from the frequency lists of wordfreq 3.1.1 (Robyn Speer and others),\n")
    write("# whose data are under CC BY-SA 4.0; this list is under the same license.\n")
    write("# None of the 35 Speech Commands words is in it, by spelling or by sound, in any language.\n")
    for language, (source, n_words) in LANGUAGES.items():
        words = list(candidates(language, source))
        accents = ENGLISH_ACCENTS if language == "en" else (language,)
        spoken = [pronunciations(words, accent) for accent in accents]
        chosen: list[str] = []
        for word, *variants in zip(words, *spoken, strict=True):
            first = sound(variants[0])
            if word in SPEECH_COMMANDS or len(variants[0]) < 3 or first in taken:
                continue
            if any(sound(phones, folded=True) in forbidden for phones in variants):
                continue
            # Two words with one pronunciation would be two classes that no encoder can separate.
            taken.add(first)
            chosen.append(word)
            if len(chosen) == n_words:
                break
        sys.stderr.write(f"{language}: {len(chosen)} of {len(words)} candidates\n")
        for word in sorted(chosen):
            write(f"{language}\t{word}\n")


if __name__ == "__main__":
    main()
