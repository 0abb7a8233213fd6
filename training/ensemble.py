"""Several teachers as one: the mean of their probabilities is what the student learns.

Trainings from other seeds err on other rows, so their mean errs less than each of them (Hansen and
Salamon 1990, doi 10.1109/34.58871; as a teacher: Hinton et al. 2015, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from function.contract import Contract
from training import encoder, teacher


class Teachers:
    """The trained teachers in `folders`, of one contract. Raises ValueError where one is not
    finished or has another contract than the first."""

    def __init__(self, folders: Sequence[Path]):
        for folder in folders:
            if not (folder / "metrics.json").exists():
                raise ValueError(f"--teacher {folder}: found no finished teacher there")
        self.folders = folders
        self.members = [encoder.load(folder) for folder in folders]
        for folder, (_, contract, _) in zip(folders, self.members, strict=True):
            if contract.columns != self.contract.columns:
                raise ValueError(
                    f"--teacher {folder}: found a teacher of other labels than {folders[0]}, "
                    "expected teachers of one contract"
                )

    @property
    def contract(self) -> Contract:
        return self.members[0][1]

    def predict(
        self, texts: list[str], temperature: float = 1.0, shown_as: str | None = None
    ) -> np.ndarray:
        """The mean of the teachers' probabilities (N, L), as `training.teacher.predict`."""
        found = np.zeros((len(texts), len(self.contract.columns)), np.float32)
        for number, member in enumerate(self.members, 1):
            name = f"{shown_as} {number}/{len(self.members)}" if shown_as else None
            found += teacher.predict(*member, texts, temperature, shown_as=name)
        return found / len(self.members)
