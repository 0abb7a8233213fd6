"""On how many code points do JavaScript tokenizers differ from the reference?

    python -m benchmarks.tokenizers

Every Unicode scalar value in three positions, through `js_runtime` and through the best one on npm,
`@huggingface/tokenizers`, against Hugging Face's `tokenizers` in Rust. Needs node and `npm ci`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import tokenizers

from training import runs

OUT = Path("benchmarks/results/tokenizers.json")
BUNDLE = Path("bundle")
POSITIONS = ("{}", "a{}b", "##{}")
SIZE = 20_000  # texts of one question


def main() -> None:
    reference = tokenizers.Tokenizer.from_file(str(BUNDLE / "tokenizer.json"))
    reference.encode_special_tokens = True
    reference.no_truncation()
    reference.no_padding()
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    package = json.loads(Path("node_modules/@huggingface/tokenizers/package.json").read_text())
    subjects = {"js_runtime": "pieces", f"@huggingface/tokenizers {package['version']}": "library"}
    differ = {name: {position: 0 for position in POSITIONS} for name in subjects}
    found: dict[str, set[str]] = {name: set() for name in subjects}
    command = ["node", "tests/bridge.js", str(BUNDLE / "vocab.txt")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as bridge:
        for position in POSITIONS:
            for start in range(0, len(every), SIZE):
                part = every[start : start + SIZE]
                texts = [position.format(c) for c in part]
                right = reference.encode_batch_fast(texts, add_special_tokens=False)
                for name, question in subjects.items():
                    bridge.stdin.write(json.dumps([question, texts]) + "\n")
                    bridge.stdin.flush()
                    answers = json.loads(bridge.stdout.readline())
                    wrong = {c for c, ids, r in zip(part, answers, right, strict=True)
                             if ids != r.ids}  # fmt: skip
                    differ[name][position] += len(wrong)
                    found[name] |= wrong
        bridge.stdin.close()
    results = [
        {"name": name, "code_points": len(found[name]), "by_position": differ[name]}
        for name in subjects
    ]
    for result in results:
        print(f"{result['name']:40}{result['code_points']:>10,} of {len(every):,}")
    runs.write_json(OUT, {"reference": f"tokenizers {tokenizers.__version__}",
                          "code_points": len(every), "results": results})  # fmt: skip


if __name__ == "__main__":
    main()
