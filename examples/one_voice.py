"""Restrict a keyword to one speaker, enrolled from other words.

python examples/one_voice.py
"""

from earmark import Detector, audio, demo, enroll, enroll_speaker, load_encoder, load_speaker_encoder


def main() -> None:
    """Use the demo stream: four voices say “hey jupiter”; the second one is Slt."""
    encoder, speaker_encoder = load_encoder(), load_speaker_encoder()
    stream = audio.read(demo.STREAM)
    greeting = stream[: round(2.9 * audio.SAMPLE_RATE)]  # “good morning, the kettle is on”
    sigh = stream[round(21.6 * audio.SAMPLE_RATE) :]  # “stupid computer”
    # Strict: accept one in a hundred words of other voices.
    slt = enroll_speaker("Slt", [greeting, sigh], encoder=speaker_encoder, false_accepts=0.01)

    takes = demo.take_files()
    any_speaker = enroll(demo.KEYWORD, takes, encoder=encoder)
    only_slt = enroll(demo.KEYWORD, takes, encoder=encoder, only_speaker="Slt")
    for keyword in (any_speaker, only_slt):
        detector = Detector(keyword, encoder=encoder, speakers=slt, speaker_encoder=speaker_encoder)
        print(f"{keyword.name}, for {keyword.only_speaker or 'any speaker'}:")
        for detection in detector.detect(stream):
            voice = "" if detection.speaker is None else f", voice {detection.speaker_score:.2f}"
            print(f"  {detection.start_s:.2f} – {detection.end_s:.2f} s, score {detection.score:.2f}{voice}")


if __name__ == "__main__":
    main()
