"""Writes deflated zips as Python's zipfile makes them: a model in a folder with what macOS adds, and 80 MiB of spaces.

    python3 scripts/make_zip_golden.py tests/golden
"""

import sys
import zipfile
from pathlib import Path

APPLE_DOUBLE = b"\x00\x05\x16\x07" * 60


def deflated(name):
    entry = zipfile.ZipInfo(name, (2026, 11, 29, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def main(golden):
    folder = golden / "zip"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for name in ["config.json", "model.safetensors"]:
            archive.writestr(deflated(f"__MACOSX/model/._{name}"), APPLE_DOUBLE)
            archive.writestr(deflated(f"model/{name}"), (golden / "rope-linear" / name).read_bytes(), compresslevel=9)
            archive.writestr(deflated(f"model/._{name}"), APPLE_DOUBLE)
    with zipfile.ZipFile(folder / "bomb.zip", "w") as archive:
        archive.writestr(deflated("config.json"), b" " * (80 << 20), compresslevel=9)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
