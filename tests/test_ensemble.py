"""Several teachers as one."""

import json

import numpy as np
import pytest
import torch

from tests.training_fixtures import write_base, write_contract
from training import encoder, ensemble, teacher


def test_several_teachers_say_the_mean_of_what_each_says(tmp_path):
    contract_path, base = write_contract(tmp_path), write_base(tmp_path)
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        torch.manual_seed(seed)
        model, _, _ = encoder.load_base(str(base), contract_path, folder)
        encoder.save_weights(model, folder)
    texts = ["grey tabby", "table", "noisy small parrot"]
    with pytest.raises(ValueError, match="one: found no finished teacher there"):
        ensemble.Teachers(folders)
    for folder in folders:
        (folder / "metrics.json").write_text("{}")
    each = [teacher.predict(*encoder.load(folder), texts, 1.5) for folder in folders]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    both = ensemble.Teachers(folders).predict(texts, 1.5)
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, atol=1e-6)

    fewer = json.loads(contract_path.read_text())
    fewer["tasks"] = fewer["tasks"][:1]
    other = tmp_path / "fewer.json"
    other.write_text(json.dumps(fewer))
    model, _, _ = encoder.load_base(str(base), other, folders[1])
    encoder.save_weights(model, folders[1])
    with pytest.raises(ValueError, match=r"two: found a teacher of other labels than .*one"):
        ensemble.Teachers(folders)
