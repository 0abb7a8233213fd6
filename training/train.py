"""From a contract and a CSV to a bundle that `make serve BUNDLE=...` serves: every stage in order.

    python -m training.train --contract my.json --data my.csv --out build/mine
    python -m training.train --contract my.json --data my.csv --check
    python -m training.train --contract my.json --data my.csv --out build/mine --freeze-encoder

What the stages make on the way (teacher, student, ONNX, metrics) lies in the folder `OUT-run`.
A training that is finished is not done again, a killed one goes on from its last finished epoch.
`--freeze-encoder` keeps the encoder of the shipped bundle and trains a new head alone, for labels
that ask about the same kind of phrases.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from training import check, dataset, distill, encoder, runs, teacher, transfer

# What a run that goes on from a measured one cannot choose anew.
OF_A_TRAINING = (
    "base", "adapt", "layers", "pieces", "word-rate", "dropout", "epochs", "teachers", "student",
    "size",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--contract", type=Path, default=teacher.CONTRACT)
    parser.add_argument("--data", type=Path, default=teacher.DATA, help="labelled CSV")
    parser.add_argument("--out", type=Path, help="folder of the bundle to make")
    parser.add_argument("--run", type=Path, help="folder of what the stages make (OUT-run)")
    parser.add_argument("--base", help="encoder to start from: hub name or folder")
    parser.add_argument("--adapt", nargs="?", const="", metavar="CORPUS",
                        help="adapt the encoder to the domain's language first, on sentences made "
                        "of the rows or on a corpus, one text a line, plain or gzip")  # fmt: skip
    parser.add_argument("--layers", type=int, help="of the base that the teacher keeps (all)")
    parser.add_argument("--pieces", type=int, help="of the rows' own words to add to the base's "
                        "vocabulary (0)")  # fmt: skip
    parser.add_argument("--word-rate", type=float, help="learning rate of the teacher's word "
                        "embeddings (0: they stay as they are)")  # fmt: skip
    parser.add_argument("--dropout", type=float, help="of the teacher (0.1)")
    parser.add_argument("--student", choices=encoder.PRESETS, help="its size (tiny)")
    parser.add_argument("--transfer", type=Path, help="further texts of your own, one a line")
    parser.add_argument("--measured", type=Path, metavar="RUN",
                        help="let the student of this measured run go on learning, on dev and "
                        "test rows too, with that run's calibration and figures")  # fmt: skip
    parser.add_argument("--epochs", type=int, help="of the teacher (by the number of rows)")
    parser.add_argument("--teachers", type=int, help="to train, each of another seed; the student "
                        "learns their mean (1)")  # fmt: skip
    parser.add_argument("--size", type=int, help="texts without labels for the student")
    parser.add_argument("--version", default="1.0.0", help="of the model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--freeze-encoder", type=Path, nargs="?", const=Path("bundle"),
                        metavar="BUNDLE",
                        help="train only a new head, on this bundle (default: bundle)")  # fmt: skip
    parser.add_argument("--check", action="store_true",
                        help="only look at the data and say what is in it")  # fmt: skip
    options = parser.parse_args()
    if options.teachers is not None and options.teachers < 1:
        parser.error(f"--teachers: found {options.teachers}, expected 1 or more")
    if options.check:
        look(options)
        return
    if options.out is None:
        parser.error("--out is needed (or --check)")
    fixed = OF_A_TRAINING if options.measured else ()
    if chosen := given(options, *fixed):
        parser.error(f"{chosen[0]}: found beside --measured, whose student goes on as it is")
    options.run = options.run or options.out.with_name(f"{options.out.name}-run")
    for command in stages(options):
        print(f"$ {' '.join(command)}", flush=True)
        if command[0] == "cp":
            shutil.copyfile(*command[1:])
        elif code := subprocess.run(
            [sys.executable, "-m", *command], env=environment()
        ).returncode:
            sys.exit(code)


def environment() -> dict[str, str]:
    """That of a stage. GNU OpenMP's threads wait for each other in a loop, and so take a core from
    who shares it: two trainings at once got half as far, together, as one alone. A shorter loop
    costs one that is alone 5 % (training/LOG.md)."""
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    return {**os.environ, **({} if chosen else {"GOMP_SPINCOUNT": "3000"})}


def look(options: argparse.Namespace) -> None:
    """Print what is in the data and how long training on it will take."""
    base = options.base or encoder.default_base()
    with tempfile.TemporaryDirectory() as folder:
        model, contract, wordpiece = encoder.load_base(
            base, options.contract, Path(folder), options.layers
        )
        rows = dataset.read(options.data, contract)
        print(check.report(options.data, rows, contract))
        check.require_every_label(options.data, rows, contract)
        epochs = teacher.default_epochs(sum(row.split == "train" for row in rows))
        size = distill.SIZE if options.size is None else options.size
        more = len(transfer.read_lines(options.transfer)) if options.transfer else 0
        minutes = check.expected_minutes(
            model, options.student or "tiny", wordpiece, rows, contract, options.epochs or epochs,
            size + more, distill.default_epochs(size), options.teachers or 1,
        )  # fmt: skip
    print(f"about {minutes:.0f} minutes for teacher and student on this machine, and some for the "
          "export")  # fmt: skip


def stages(options: argparse.Namespace) -> list[list[str]]:
    """The command of each stage, without the interpreter."""
    run, out, data = options.run, options.out, ["--data", options.data]
    student, onnx = run / "student", run / "onnx" / "model.onnx"
    contract = ["--contract", run / "contract.json"]
    int8 = ["--int8", run / "onnx" / "model_quantized.onnx"]
    seed = ["--seed", options.seed]
    if options.freeze_encoder:
        training = [
            ["export.restore", "--bundle", options.freeze_encoder, "--out", run / "encoder"],
            ["training.head", "--encoder", run / "encoder", "--contract", options.contract, *data,
             "--out", student, *seed, *(["--all-rows"] if options.measured else [])],
        ]  # fmt: skip
    elif options.measured:
        training = [["training.extend", "--measured", options.measured, *data,
                     *given(options, "transfer"), "--out", student]]  # fmt: skip
    else:
        base = given(options, "base")
        adapt = []
        if options.adapt is not None:
            corpus = ["--corpus", options.adapt] if options.adapt else []
            adapt = [["training.adapt", *base, *corpus, "--contract", options.contract, *data,
                      "--out", run / "base", *seed]]  # fmt: skip
            base = ["--base", run / "base"]
        of_teacher = [*base, *given(options, "layers", "pieces", "word-rate", "dropout", "epochs"),
                      "--contract", options.contract, *data]  # fmt: skip
        folders = [run / (f"teacher-{n + 1}" if n else "teacher")
                   for n in range(options.teachers or 1)]  # fmt: skip
        training = [
            *adapt,
            *(["training.teacher", *of_teacher, "--out", folder, "--seed", options.seed + n]
              for n, folder in enumerate(folders)),
            ["training.distill", "--teacher", *folders, *data,
             *given(options, "transfer", "size", "student"), "--out", student, *seed],
        ]  # fmt: skip
    return [
        list(map(str, command))
        for command in [
            *training,
            ["export.to_onnx", "--student", student, "--out", onnx],
            ["export.quantize", "--onnx", onnx, "--out", int8[1]],
            ["cp", options.measured / "contract.json", run / "contract.json"] if options.measured
            else ["export.calibrate", "--student", student, *int8, *data, "--out", contract[1]],
            ["export.check_parity", "--student", student, "--onnx", onnx, *int8, *contract, *data,
             "--out", run / "parity.json"],
            ["export.make_golden", "--student", student, *int8, *contract, *data,
             "--out", run / "golden.json"],
            ["training.evaluate", "--run", run, *data,
             *(["--measured", options.measured / "metrics.json"] if options.measured else [])],
            ["export.bundle", "--run", run, "--out", out, "--version", options.version,
             *(["--metrics", options.measured / "metrics.json"] if options.measured else [])],
        ]
    ]  # fmt: skip


def given(options: argparse.Namespace, *names: str) -> list:
    """Those of the options that were given, as the stages take them."""
    values = {name: getattr(options, name.replace("-", "_")) for name in names}
    return [x for name, value in values.items() if value is not None for x in (f"--{name}", value)]


if __name__ == "__main__":
    runs.stage(main)
