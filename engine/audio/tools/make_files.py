#!/usr/bin/env python3
"""Writes a short tone in each format that is read, by ffmpeg.

    pip install imageio-ffmpeg
    engine/audio/tools/make_files.py

Each goes to testdata/tone.EXTENSION: 440 Hz for 0.6 s, at half of the full scale, silent for 0.1 s
before and after. Two channels of which one is silent where the name says `stereo`.
"""
import math
import pathlib
import struct
import subprocess
import tempfile
import wave

import imageio_ffmpeg

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "testdata"
RATE = 44_100
LOSSY = ["-b:a", "48k"]
FILES = {
    "tone.mp3": LOSSY,
    "tone-tags.mp3": [*LOSSY, "-metadata", "title=A tone", "-id3v2_version", "3"],
    "tone.flac": [],
    "tone.ogg": ["-c:a", "libvorbis", "-q:a", "2"],
    "tone.m4a": ["-c:a", "aac", *LOSSY],
    "tone.aac": ["-c:a", "aac", *LOSSY],
    "tone-8k.wav": ["-ar", "8000"],
    "tone-24.wav": ["-c:a", "pcm_s24le", "-ar", "16000"],
    "tone-float.wav": ["-c:a", "pcm_f32le", "-ar", "16000"],
    "tone-ulaw.wav": ["-c:a", "pcm_mulaw", "-ar", "8000"],
    "tone-stereo.wav": ["-ac", "2", "-af", "pan=stereo|c0=c0|c1=0*c0", "-ar", "22050"],
    "tone-opus.ogg": ["-c:a", "libopus", "-b:a", "24k"],
}


def tone():
    silent = [0] * (RATE // 10)
    loud = [round(16383 * math.sin(2 * math.pi * 440 * i / RATE)) for i in range(RATE * 6 // 10)]
    return silent + loud + silent


def main():
    TESTDATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "tone.wav"
        with wave.open(str(source), "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes(struct.pack(f"<{len(tone())}h", *tone()))
        for name, options in FILES.items():
            subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(source),
                            *options, "-bitexact", str(TESTDATA / name)], check=True)


if __name__ == "__main__":
    main()
