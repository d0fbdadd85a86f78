"""Let a keyword answer to one voice alone, known from other words of hers.

python examples/one_voice.py
"""

from earmark import Detector, audio, demo, enroll, enroll_speaker, load_encoder, load_speaker_encoder


def main() -> None:
    """Use the sound that comes with earmark: a stream in which four voices say “hey jupiter”, the second is Slt's."""
    encoder, speaker_encoder = load_encoder(), load_speaker_encoder()
    stream = audio.read(demo.STREAM)
    greeting = stream[: round(2.9 * audio.SAMPLE_RATE)]  # “good morning, the kettle is on”
    sigh = stream[round(21.6 * audio.SAMPLE_RATE) :]  # “stupid computer”
    # Strict: of what other voices say one in a hundred may pass.
    slt = enroll_speaker("Slt", [greeting, sigh], encoder=speaker_encoder, false_accepts=0.01)

    takes = [audio.read(path) for path in demo.take_files()]
    anybody = enroll(demo.KEYWORD, takes, encoder=encoder)
    only_her = enroll(demo.KEYWORD, takes, encoder=encoder, only_speaker="Slt")
    for keyword in (anybody, only_her):
        detector = Detector([keyword], encoder=encoder, speakers=[slt], speaker_encoder=speaker_encoder)
        print(f"{keyword.name}, for {keyword.only_speaker or 'anybody'}:")
        for detection in detector.push(stream) + detector.finish():
            voice = "" if detection.speaker is None else f", voice {detection.speaker_score:.2f}"
            print(f"  {detection.start_s:.2f} – {detection.end_s:.2f} s, score {detection.score:.2f}{voice}")


if __name__ == "__main__":
    main()
