"""The rival to beat: TF-IDF of letters and words with logistic regression (scikit-learn)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_union

from function.contract import Contract
from training import runs
from training.dataset import Row, targets

KEPT = "tfidf.npz"


def predict(train: list[Row], texts: list[str], contract: Contract) -> np.ndarray:
    """Probabilities (N, L) for `texts` of one classifier per task, fitted on `train`.

    A label that no row of `train` has gets probability 0. Prints how far it is: with many rows and
    labels a task takes minutes.
    """
    began = time.monotonic()
    features = make_union(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True),
    )
    known = features.fit_transform([row.text for row in train])
    asked = features.transform(texts)
    wanted, applies = targets(train, contract)
    found = np.zeros((len(texts), len(contract.columns)), np.float32)
    for t, task in enumerate(contract.tasks):
        here = applies[:, t] > 0
        truth = wanted[here, task.start : task.stop]
        seen = np.flatnonzero(truth.any(0))
        if not len(seen):
            continue
        columns = task.start + seen
        if len(seen) == 1 and task.kind == "single":
            found[:, columns] = 1
            continue
        model = LogisticRegression(C=10, max_iter=300)
        if task.kind == "single":
            model.fit(known[here], truth[:, seen].argmax(1))
        else:
            model = OneVsRestClassifier(model, n_jobs=-1).fit(known[here], truth[:, seen])
        found[:, columns] = model.predict_proba(asked)
        print(f"tfidf: {task.name} fitted after {time.monotonic() - began:.0f} s", flush=True)
    return found


def remember(
    folder: Path, data: Path, contract: Contract, texts: list[str], answers: np.ndarray
) -> None:
    """Keep what `predict` said of `texts` after fitting on the rows of `data`: fitting again takes
    as long as an epoch of the student."""
    with runs.whole(folder / KEPT) as temporary, temporary.open("wb") as file:
        np.savez(file, mark=_mark(data, contract), texts=texts, answers=answers)


def remembered(folder: Path, data: Path, contract: Contract) -> dict[str, np.ndarray] | None:
    """The answers (L,) by text that `remember` kept; None where there are none of this data and
    these labels."""
    if not (folder / KEPT).exists():
        return None
    with np.load(folder / KEPT) as kept:
        if str(kept["mark"]) != _mark(data, contract):
            return None
        return dict(zip(kept["texts"].tolist(), kept["answers"], strict=True))


def _mark(data: Path, contract: Contract) -> str:
    return runs.fingerprint({"labels": contract.columns}, data)
