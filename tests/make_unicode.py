"""Write what the reference tokenizer makes of every code point: unicode.json and unicode.js.

    python -m tests.make_unicode

Each fact is probed from Hugging Face `tokenizers` (BertNormalizer, BertPreTokenizer), none taken
from this interpreter's own Unicode tables, so that the light runtimes agree with the reference
whatever Unicode version their interpreter or engine was built with.
"""

import json
from pathlib import Path

import tokenizers
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

ROOT = Path(__file__).parent.parent
HANGUL = range(0xAC00, 0xAC00 + 11_172)  # decomposed by arithmetic, not by table
SURROGATES = range(0xD800, 0xE000)  # not scalar values: the reference cannot be asked
HEAD = """// Made by tests/make_unicode.py from the reference tokenizer.
/**
 * @type {{
 *   made_from: string, removed: number[], isolated: number[], blockers: number[],
 *   marks: Record<string, number>, mapped: Record<string, string>,
 * }}
 */
export default """
normalize = BertNormalizer(
    clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
).normalize_str
split = BertPreTokenizer().pre_tokenize_str


def spread(c: str) -> str:
    """What becomes of `c` inside a word: its normal form, with spaces where words are cut."""
    parts = []
    for d in normalize(c):
        cuts = len(split(f"a{d}b"))
        parts.append({1: d, 2: " ", 3: f" {d} "}[cuts])
    return "".join(parts)


def ranges(codes: list[int]) -> list[int]:
    """Sorted code points as [start, stop, start, stop, ...], stops excluded."""
    edges: list[int] = []
    for code in codes:
        if edges and edges[-1] == code:
            edges[-1] += 1
        else:
            edges += [code, code + 1]
    return edges


def swaps(first: str, second: str) -> bool:
    """Whether canonical reordering puts `second` before `first`."""
    return normalize(first + second) == second + first


def main() -> None:
    every = [code for code in range(0x110000) if code not in SURROGATES]
    form = {code: spread(chr(code)) for code in every}
    removed = sorted([code for code in every if not form[code]] + list(SURROGATES))
    isolated = [code for code in every if form[code] == f" {chr(code)} "]
    mapped = {
        chr(code): text
        for code, text in form.items()
        if text not in ("", chr(code), f" {chr(code)} ") and code not in HANGUL
    }
    # Marks that survive although they combine: U+11446 (class 7) and U+1E000 (class 230) lie low
    # and high enough that every other one changes places with one of them.
    low, high = "\U00011446", "\U0001e000"
    marks = [
        chr(code) for code, text in form.items()
        if text == chr(code) and (swaps(chr(code), low) or swaps(high, chr(code)))
    ]  # fmt: skip
    marks = sorted({*marks, low, high})
    # Only the order of the classes matters, so a mark's rank is how many marks go before it.
    ranks = {mark: 1 + sum(swaps(mark, other) for other in marks) for mark in marks}
    # Removed characters that are starters: marks do not change places across them.
    blockers = [
        code for code in removed
        if code not in SURROGATES and not swaps_across(chr(code), low, high)
    ]  # fmt: skip
    content = {
        "made_from": f"tokenizers {tokenizers.__version__}",
        "removed": ranges(removed),
        "isolated": ranges(isolated),
        "blockers": ranges(blockers),
        "marks": ranks,
        "mapped": mapped,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    text = "{" + ",\n".join(lines) + "}"
    (ROOT / "function" / "unicode.json").write_text(f"{text}\n", "ascii")
    # A module, because a browser cannot import JSON; the type spares tsc to infer 80 KB of it.
    (ROOT / "js_runtime" / "unicode.js").write_text(f"{HEAD}{text};\n", "ascii")
    print(f"{len(mapped)} mapped, {len(removed)} removed, {len(isolated)} isolated, "
          f"{len(marks)} marks, {len(blockers)} blockers")  # fmt: skip


def swaps_across(between: str, low: str, high: str) -> bool:
    return normalize(high + between + low) == low + high


if __name__ == "__main__":
    main()
