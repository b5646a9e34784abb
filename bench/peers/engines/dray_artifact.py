#!/usr/bin/env python3
"""dray with weights that lie ready: `prepare` writes an artifact with `dray partition`, and `run` maps it."""

import os
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402
import dray  # noqa: E402


def prepare(arguments):
    command = ["dray", "partition", "--model", arguments.model, "--dtype", arguments.format, "--output", arguments.out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])


if __name__ == "__main__":
    common.main(__doc__, prepare, dray.run)
