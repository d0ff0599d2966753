"""The page's own modules in Node, without a browser."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tfpix2pix.pages import asset

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="it needs Node.js")


def in_node(folder: Path, module: str, code: str, data: object):
    """Runs code of Node on `data`, with what the page's `module` exports as `t`, and returns its result."""
    (folder / f"{module}.mjs").write_text(asset("tfpix2pix.export.web", f"{module}.js"), encoding="utf-8")
    imports = f'import * as t from "./{module}.mjs"; import fs from "fs";'
    script = f"{imports} const data = JSON.parse(fs.readFileSync(0));\n{code}"
    (folder / "main.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run([NODE, "main.mjs"], cwd=folder, input=json.dumps(data), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
