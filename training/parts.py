"""Which rows a run learns from and which its models are judged on."""

from __future__ import annotations

from pathlib import Path

from function.contract import Contract
from training import dataset
from training.dataset import Row
from training.similar import similar_key


def divide(
    data: Path, contract: Contract, all_rows: bool
) -> tuple[list[Row], dict[str, list[Row]], dict[str, list[Row]]]:
    """The training rows of a CSV, its `dev` and `test` rows, and the challenge sets beside it by
    name. With `all_rows` dev and test are trained on too, and the second is empty.

    Raises DatasetError for what is wrong with the CSV or a challenge set.
    """
    rows = dataset.read(data, contract)
    train = [row for row in rows if all_rows or row.split == "train"]
    held_out = {} if all_rows else {
        name: [row for row in rows if row.split == name] for name in ("dev", "test")
    }  # fmt: skip
    return train, held_out, read_slices(data.with_name("slices"), contract, train)


def read_slices(folder: Path, contract: Contract, train: list[Row]) -> dict[str, list[Row]]:
    """The challenge sets of a data set, by name. Raises DatasetError where a row is similar to one
    that is trained on: then it would say nothing."""
    trained = {similar_key(row.text): row for row in train}
    slices = {}
    for path in sorted(folder.glob("*.csv")):
        slices[path.stem] = dataset.read(path, contract)
        faults = [
            f"{path}:{row.line}: found {row.text!r}, similar to {twin.text!r} of the training "
            f"rows (line {twin.line}), expected what no model was trained on"
            for row in slices[path.stem]
            if (twin := trained.get(similar_key(row.text)))
        ]
        if faults:
            raise dataset.DatasetError("\n".join(faults))
    return slices
