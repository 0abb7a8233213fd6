"""The model card (README.md of the bundle), made from the contract and the measured facts."""

from __future__ import annotations

from training.metrics import headline

_BASES = {  # Hugging Face name and licence of the bases that the project knows
    "all-MiniLM-L6-v2": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
}


def card(contract: dict, facts: dict, size: int) -> str:
    """Markdown with YAML front matter. `size`: bytes of the ONNX file."""
    name = f"{contract['name']}-{facts['version']}"
    base, licence = _BASES.get(facts["base"], (facts["base"], None))
    front = ["---"]
    if licence:
        front += [f"license: {licence}", f"base_model: {base}"]
    front += ["library_name: transformers", "pipeline_tag: token-classification",
              "tags: [onnx, int8, multi-task, short-text]", "---"]  # fmt: skip
    controls = " ".join(task["control"] for task in contract["tasks"])
    parts = [
        "\n".join(front),
        f"# {name}\n\nA small BERT that reads a phrase followed by control tokens, "
        f"`[CLS] phrase {controls} [SEP]`, and answers {len(contract['tasks'])} question(s) in one "
        f"pass, each at its own control token. Preset `{facts['preset']}`, int8, "
        f"{size / 1e6:.1f} MB. Made for short texts, at most {contract['max_pieces']} word pieces.",
        "## Tasks\n\n" + _tasks(contract),
        f"## Base model and licence\n\nThe teacher was fine-tuned from **{base}**; the student's "
        "word embeddings are the teacher's, projected by PCA. "
        + _licence(base, licence) + _pieces(facts["recipe"]),
        _data(facts),
        _metrics(facts),
        _slices(facts["slices"]),
        _parity(facts["parity"]),
        "## Limits\n\nThe model knows what its labelled phrases and its base model taught it: rare "
        "names that are in neither are guesses. It reads English best, and lower-cases everything. "
        "Scores of tasks with one answer are calibrated on phrases like the labelled ones, and no "
        "others. It must not be the only guard where a wrong answer hurts somebody, such as an "
        "allergy.",
        _use(contract),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tasks(contract: dict) -> str:
    rows = ["| task | control | kind | labels | only if |", "|---|---|---|---|---|"]
    for task in contract["tasks"]:
        condition = ", ".join(f"{k} is `{v}`" for k, v in task.get("only_if", {}).items()) or "–"
        control = task["control"].replace("|", "\\|")
        labels = ", ".join(f"`{label}`" for label in task["labels"])
        rows.append(f"| {task['name']} | `{control}` | {task['kind']} | {labels} | {condition} |")
    return "\n".join(rows)


def _licence(base: str, licence: str | None) -> str:
    if licence != "apache-2.0":
        return "See the base model for its licence, which holds for this one as well."
    return (
        f"{base} is licensed under the Apache License, Version 2.0 "
        "(https://www.apache.org/licenses/LICENSE-2.0), which holds for this derived work as "
        "well. Notice: the weights were changed by fine-tuning, distillation and quantization."
    )


def _pieces(recipe: dict) -> str:
    pieces = recipe.get("teacher", {}).get("pieces")
    return (f" {pieces:,} pieces of the labelled phrases' own words were put into the vocabulary, "
            "where there was room in the place of unused entries.") if pieces else ""  # fmt: skip


def _data(facts: dict) -> str:
    trained = facts["trained_on"]
    text = f"## Data\n\nThis model was trained on **{trained}** of the labelled phrases. "
    if trained == "all rows":
        measured = (
            "which it was until the rest was added for its last epochs"
            if "extended" in facts["recipe"]
            else "the same recipe and seeds, trained on the training split alone"
        )
        text += (
            "It is the *shipped* model. No figure can be measured on rows that it has seen, so the "
            f"figures below are those of the *measured* model: {measured}."
        )
    else:
        text += "It is the *measured* model; the figures below are its own."
    return text


def _metrics(facts: dict) -> str:
    if not facts["metrics"]:
        return ""
    metrics = facts["metrics"]
    rows = ["| model | task | accuracy | micro-F1 | macro-F1 |", "|---|---|---|---|---|"]
    for model, scores in metrics["models"].items():
        for task, figures in scores["test"].items():
            shown = (figures.get(key) for key in ("accuracy", "micro_f1", "macro_f1"))
            cells = " | ".join("–" if x is None else f"{x:.4f}" for x in shown)
            rows.append(f"| {model} | {task} | {cells} |")
    return (
        f"## Metrics\n\nOn the {metrics['rows']['test']} phrases of the test split, none of them "
        "similar to a training phrase (case, accents, punctuation, word order, plural, quantity). "
        "Tasks with a condition are judged where it holds.\n\n" + "\n".join(rows)
    )


def _slices(slices: dict) -> str:
    if not slices.get("int8"):
        return ""
    rows = ["| challenging phrases | task | rows | TF-IDF | this model |", "|---|---|---|---|---|"]
    for name, tasks in slices["int8"].items():
        for task, figures in tasks.items():
            rival, own = (headline(slices[model][name][task]) for model in ("tfidf", "int8"))
            title = name.replace("_", " ")
            rows.append(f"| {title} | {task} | {figures['rows']} | {rival:.4f} | {own:.4f} |")
    return (
        "## Challenging phrases\n\nAccuracy of tasks with one answer, micro-F1 of the others, on "
        "phrases that neither this model nor its rival, TF-IDF with logistic regression on the "
        "same rows, was trained on.\n\n" + "\n".join(rows)
    )


def _parity(parity: dict) -> str:
    rows = ["| against torch | max Δp | label agreement |", "|---|---|---|"]
    for name in ("fp32", "int8"):
        agreement = ", ".join(f"{k} {v:.4f}" for k, v in parity[name]["agreement"].items())
        rows.append(f"| {name} ONNX | {parity[name]['max_difference']} | {agreement} |")
    return f"## Parity\n\nOver {parity['texts']} phrases:\n\n" + "\n".join(rows)


def _use(contract: dict) -> str:
    controls = [task["control"] for task in contract["tasks"]]
    text = f"""## Use

The project's own runtime (`python -m function`, `make serve`) needs onnxruntime and numpy alone.
The stock libraries open this folder too. Task n of N is read at row -1-N+n of the logits, over the
columns of its own labels:

```python
import json
import torch
from optimum.onnxruntime import ORTModelForTokenClassification
from transformers import AutoTokenizer

tasks = json.load(open("bundle/contract.json"))["tasks"]

def read(logits):
    answer, start = {{}}, 0
    for n, task in enumerate(tasks):
        row = logits[-1 - len(tasks) + n, start : start + len(task["labels"])]
        start += len(task["labels"])
        if task["kind"] == "single":
            scores = (row / task.get("temperature", 1)).softmax(0)
            answer[task["name"]] = task["labels"][scores.argmax()]
        else:
            least = task.get("thresholds") or [0.5] * len(row)
            answer[task["name"]] = [
                label for label, score, t in zip(task["labels"], row.sigmoid(), least) if score >= t
            ]
    return answer  # a task with `only_if` counts only where that holds

tok = AutoTokenizer.from_pretrained("bundle")
model = ORTModelForTokenClassification.from_pretrained(
    "bundle", subfolder="onnx", file_name="model_quantized.onnx")
controls = tok.convert_tokens_to_ids({controls!r})
ids = tok.encode("a phrase", add_special_tokens=False)
row = torch.tensor([[tok.cls_token_id, *ids, *controls, tok.sep_token_id]])
logits = model(input_ids=row, attention_mask=torch.ones_like(row),
               token_type_ids=torch.zeros_like(row)).logits[0]
print(read(logits))
```"""
    if any(control.startswith(("##", "[")) for control in controls):
        return text  # such a control token cannot be typed behind the text
    return f"""{text}

A `transformers` pipeline opens the fp32 student of a training run, with the control tokens behind
the text. What it prints itself is the likeliest of *all* labels at each piece: read the logits.

```python
from transformers import pipeline

pipe = pipeline("token-classification", "build/train/student")
inputs = next(pipe.preprocess("a phrase {" ".join(controls)}", is_split_into_words=False))
print(read(pipe.forward(inputs)["logits"][0]))
```"""
