"""The staged table: its servers, its measuring over the lab, sizes, memory, table and plot."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import functions_framework
import pytest

from benchmarks import figures, tables
from benchmarks.stages import __main__ as stages
from benchmarks.stages import measure, models, size, table
from benchmarks.stages.subjects import SERVING, STAGES, Stage
from tests.cold import groups, server
from tests.conftest import ROOT
from timing import coldstart
from timing.lab import LabError, local, process
from timing.lab.local import Bench, Configuration, Server
from timing.lab.question import Question

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 16}  # fmt: skip
PAPRIKA = Question(stages.TEXT, stages.TASK, stages.LABEL)


def client(source: str):
    return functions_framework.create_app("classify", str(ROOT / source)).test_client()


@pytest.fixture
def pets_models(pets_bundle, tmp_path) -> Path:
    models.make(tmp_path / "models", pets_bundle, {"animal:yes", "kinds:dog"}, **TINY)
    return tmp_path / "models"


@pytest.mark.parametrize("stage", ["three", "one"])
def test_a_stage_on_torch_answers_as_the_function_does(pets_models, monkeypatch, stage):
    monkeypatch.setenv("MODELS", str(pets_models / stage))
    asking = client(f"benchmarks/stages/{stage}.py")
    answer = asking.post("/classify", json={"texts": ["grey cat", "+ " * 99]})
    assert answer.status_code == 200 and answer.json["model"] == "pets"
    for text, result in zip(("grey cat", "+ " * 99), answer.json["results"], strict=True):
        assert list(result) == ["text", "animal", "kinds"] and result["text"] == text
        assert result["animal"]["label"] == "yes" and result["animal"]["score"] > 0.99
        assert [label["label"] for label in result["kinds"]] == ["dog"]
    assert answer.headers["Server-Timing"].startswith("infer;dur=")
    refused = asking.post("/classify", json={"text": 3})
    assert refused.status_code == 422 and refused.content_type == "application/problem+json"


def test_known_labels_are_of_the_shipped_contract(shipped):
    tasks = json.loads((shipped / "contract.json").read_text("utf-8"))["tasks"]
    assert {f"{t['name']}:{label}" for t in tasks for label in t["labels"]} >= models.KNOWN
    assert f"{stages.TASK}:{stages.LABEL}" in models.KNOWN


def test_the_empty_functions_give_the_right_answer():
    PAPRIKA.check(200, client("benchmarks/stages/empty.py").post("/classify", json={}).data)
    if node := shutil.which("node"):
        code = ("import('./benchmarks/stages/empty.js').then(({ classify }) => classify({}, "
                "{ send: (answer) => console.log(JSON.stringify(answer)) }))")  # fmt: skip
        done = subprocess.run([node, "-e", code], cwd=ROOT, capture_output=True, check=True)
        PAPRIKA.check(200, done.stdout)


def test_every_source_of_a_stage_is_there():
    files = {path for stage in STAGES for path in stage.files if not path.startswith("build/")}
    words = {word for stage in STAGES for word in stage.command.split()}
    sources = {word for word in words if word.startswith(("function/", "benchmarks/"))}
    assert len(sources) == 5
    assert [path for path in files | sources if not (ROOT / path).exists()] == []


def test_what_is_counted_is_what_serving_requires():
    lines = (ROOT / "function" / "requirements.in").read_text().splitlines()
    assert {line.split("=")[0] for line in lines if line[:1].isalpha()} == set(SERVING)


@pytest.fixture
def run(tmp_path, monkeypatch, untraced, capsys):
    """Runs the benchmark over `stages` of known servers, by how they behave; the page cache stays
    as it is. Gives its result, the order of the starts and what it printed."""
    (tmp_path / "code").write_bytes(b"x" * 1_000)
    monkeypatch.setenv("COLD_ORDER", str(tmp_path / "order"))
    monkeypatch.setattr(local.os, "sync", lambda: None)
    monkeypatch.setattr(local, "DROP_CACHES", tmp_path / "drop_caches")
    monkeypatch.setattr(measure, "PHRASES", measure.PHRASES[: measure.WARM_UP + 3])
    monkeypatch.setattr(stages, "TIMEOUT_S", 20)

    def measured(*hows: str, starts: int = 2) -> tuple[dict, list[str], str]:
        served = [Stage(how, "none", server(0, how), (str(tmp_path / "code"),)) for how in hows]
        stages.main(["--starts", str(starts), "--out", str(tmp_path / "stages.json")], served)
        found = json.loads((tmp_path / "stages.json").read_text())
        return found, (tmp_path / "order").read_text().split(), capsys.readouterr().out

    return measured


@pytest.fixture
def no_groups(monkeypatch):
    refused = dict.fromkeys(("cpu", "memory"), "not in this test")
    monkeypatch.setattr(coldstart, "allowed", lambda limits_cpus: ((), refused))


def test_stages_take_turns_and_the_cached_start_follows_the_one_that_read(run, no_groups, alive):
    found, order, printed = run("a", "b")
    assert order == ["a", "a", "b", "b"] * 2
    for stage in found["stages"]:
        assert stage["deployed_bytes"] == 1_000 and stage["memory"] is None
        assert [stage[part]["first_answer_ms"]["n"] for part in ("kept", "dropped")] == [2, 2]
        assert stage["inference_ms"] == {"n": 6, "p50": 2.5, "p95": 2.5, "min": 2.5, "max": 2.5}
    assert found["cpus"] is None
    assert "CPUs were not limited: not in this test." in printed.splitlines()[-1]
    assert "files were not counted" not in printed and "| a | 0 |" in printed
    assert not alive()


def test_a_page_cache_that_may_not_be_dropped_is_told(run, no_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "DROP_CACHES", tmp_path / "none" / "drop_caches")
    found, order, printed = run("a")
    assert order == ["a"] * 3  # one that brings the files into the cache
    assert found["stages"][0]["dropped"] == {} and "The page cache was not dropped: " in printed


@pytest.mark.skipif("memory" in coldstart.allowed(limits_cpus=False)[1],
                    reason="may not limit memory")  # fmt: skip
def test_the_smallest_memory_is_found_by_starting_under_it(run, monkeypatch):
    monkeypatch.setattr(measure, "CPUS", None)
    found, _, _ = run("hungry", "small", starts=1)
    hungry, small = found["stages"]
    assert (hungry["memory"], small["memory"]) == ("256Mi", "128Mi")
    assert hungry["refused"] == {"128Mi": "found 1 of its processes killed for memory"}
    assert hungry["kept"]["cgroup_peak_bytes"]["max"] > 200_000_000
    assert not groups()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("wrong", r"found source \['fungus'\], expected 'plant'"),
        ("dies", r"it died, exit status 1 \(error: found no model\)"),
        ("quits", "(it died, exit status 7|found no answer to phrase 2 of 3)"),
        ("tired", "'pickled tomato': found HTTP status 500, expected 200"),
    ],
)
def test_a_bad_stage_ends_it_with_one_line(run, no_groups, alive, tmp_path, monkeypatch, how,
                                           expected):  # fmt: skip
    monkeypatch.setattr(measure, "PHRASES", ["roasted plum", "pickled tomato", "dried oat"])
    monkeypatch.setattr(measure, "FEW", measure.PHRASES)
    with pytest.raises(SystemExit) as ended:
        run("right", how)
    assert re.fullmatch(f"error: .*{expected}.*", str(ended.value)) and not alive()
    assert not (tmp_path / "stages.json").exists()


def test_bad_arguments_and_missing_parts_are_told(tmp_path, capsys, no_groups, untraced):
    with pytest.raises(SystemExit):
        stages.main(["--starts", "0"])
    assert "--starts: found 0, expected a number from 1 up" in capsys.readouterr().err
    gone = Stage("gone", "none", server(0), (str(tmp_path / "gone"),))
    with pytest.raises(SystemExit, match="gone: found nothing, expected what `make bench-stages`"):
        stages.main(["--out", str(tmp_path / "out.json")], [gone])


def limited(monkeypatch, needs: int, reads: int) -> list[str]:
    """Servers that are killed below `needs` MiB, and read their files again below `reads` MiB."""
    tried: list[str] = []
    read = [0]

    def start(configuration, bench, then):
        tried.append(configuration.memory)
        mebibytes = local.parse_size(configuration.memory) >> 20
        if mebibytes < needs:
            raise LabError(f"{configuration.name}: killed")
        read[0] += 900 << 20  # by its start
        monkeypatch.setattr(measure, "infer", lambda server, phrases: read.__setitem__(
            0, read[0] + ((mebibytes if mebibytes < reads else 9) << 20)))  # fmt: skip
        then(Server("http://nowhere", 0))

    monkeypatch.setattr(local, "start", start)
    monkeypatch.setattr(process, "usage", lambda pids: {"read_storage_bytes": read[0]})
    return tried


@pytest.mark.parametrize(
    ("needs", "reads", "expected", "refused"),
    [
        (1, 1, "128Mi", {}),
        (200, 1, "256Mi", {"128Mi": "killed"}),
        (600, 1_500, "2Gi", {"1Gi": "found 1024 MiB read from storage for 5 phrases, expected at "
                                    "most 256 MiB"}),
        (3_000, 1, "4Gi", {"1Gi": "killed", "2Gi": "killed"}),
        (9_000, 1, None, {"1Gi": "killed", "4Gi": "killed"}),
    ],
)  # fmt: skip
def test_the_smallest_memory_is_searched_by_halves(monkeypatch, needs, reads, expected, refused):
    tried = limited(monkeypatch, needs, reads)
    found = measure.smallest(Configuration("x"), Bench(PAPRIKA, 1, controllers=("memory",)))
    assert found == {"memory": expected, "refused": refused} and len(tried) <= 3
    assert measure.smallest(Configuration("x"), Bench(PAPRIKA, 1))["memory"] is None
    assert len(tried) <= 3


def test_a_python_package_is_counted_with_what_it_requires(tmp_path):
    site = tmp_path / "lib" / "python3.11" / "site-packages"

    def distribution(name: str, length: int, *requires: str) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_bytes(b"x" * length)
        needed = "".join(f"Requires-Dist: {each}\n" for each in requires)
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (info / "METADATA").write_text(head + needed)
        (info / "RECORD").write_text(f"{name}.py,,\ngone.py,,\n")

    distribution("app", 1, "Web_Server[fast]>=1", "never; python_version < '3'")
    distribution("web_server", 10, "app", "loop; extra == 'fast'", "slow; extra == 'slow'")
    distribution("loop", 100)
    distribution("slow", 1_000)
    distribution("other", 10_000)
    assert size.python(tmp_path, ["app"]) == 111
    assert size.python(tmp_path, ["web-server", "other"]) == 10_111
    with pytest.raises(LabError, match="found no never, expected it installed"):
        size.python(tmp_path, ["never"])


def test_an_npm_package_is_counted_with_its_dependencies(tmp_path):
    def package(folder: str, length: int, *needs: str) -> None:
        at = tmp_path / "node_modules" / folder
        at.mkdir(parents=True)
        content = json.dumps({"dependencies": dict.fromkeys(needs, "1")})
        (at / "package.json").write_text(content.ljust(100))
        (at / "code.js").write_bytes(b"x" * length)

    package("@a/app", 1_000, "web", "log")
    package("@a/app/node_modules/log", 2_000)  # its own version
    package("web", 10_000, "log", "@a/app")
    package("log", 20_000)
    package("other", 100_000)
    assert size.npm(tmp_path / "node_modules", ["@a/app"]) == 33_400
    assert size.npm(tmp_path / "node_modules", ["log"]) == 20_100
    with pytest.raises(LabError, match="found no gone"):
        size.npm(tmp_path / "node_modules", ["gone"])


def test_files_are_counted_without_bytecode(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x" * 50)
    (tmp_path / "a.py").write_bytes(b"x" * 7)
    assert size.files(tmp_path) == size.files(tmp_path / "a.py") == 7


def stage(name: str, mebibytes: int | None, memory: str | None, ms: float, **more) -> dict:
    figure = {"n": 3, "p50": ms, "p95": 2 * ms, "min": ms, "max": 2 * ms}
    held = {"max": mebibytes and mebibytes << 20}
    starts = {"first_answer_ms": figure}
    starts |= {"cgroup_peak_bytes": held, "resident_pss_bytes": held} if mebibytes else {}
    return {"name": name, "deployed_bytes": int(ms * 1e6), "memory": memory, "kept": starts,
            "dropped": starts, **more}  # fmt: skip


MEASURED = {"starts": 3, "notes": ["CPUs were not limited: why."], "stages": [
    stage("first", 2_000, "2Gi", 6_000, inference_ms={"p50": 100, "p95": 150}),
    stage("last", 100, "128Mi", 300, inference_ms={"p50": 0.2, "p95": 0.456}),
    stage("floor", None, None, 200),
]}  # fmt: skip


def test_the_table_compares_with_the_first_stage():
    lines = table.table(MEASURED).splitlines()
    assert "| first | 6,000 | 2,000 | 2,000 | 2Gi | 6.00 / 12.00 | 6.00 / 12.00 " \
           "| 100.00 / 150.00 |" in lines  # fmt: skip
    assert "| floor | 200 | – | – | – | 0.20 / 0.40 | 0.20 / 0.40 | – |" in lines
    assert lines[-3] == "| last | 20.0 | 20.0 | 20.0 | 16.0 | 20.0 | 20.0 | 500.0 |"
    assert len({line.count("|") for line in lines[:-1] if line}) == 1
    assert lines[-1].startswith("p50 / p95 of 3 starts") and lines[-1].endswith("limited: why.")


def test_without_a_group_the_peak_is_the_resident_one():
    one = stage("one", None, None, 1)
    one["kept"] = {**one["kept"], "resident_peak_bytes": {"max": 5}}
    assert table.quantities({**one, "dropped": {}})["peak"] == 5


def test_the_plot_is_the_same_of_the_same_figures():
    drawn = [figures.svg(figures.rows(*table.panels(MEASURED))) for _ in range(2)]
    assert drawn[0] == drawn[1] and "<svg" in drawn[0]
    assert not figures.pyplot.get_fignums()
    quicker = json.loads(json.dumps(MEASURED).replace("0.2", "0.1"))
    assert figures.svg(figures.rows(*table.panels(quicker))) != drawn[0]


@pytest.mark.skipif(not tables.STAGES.exists(), reason="nothing is measured yet")
def test_the_shown_plot_is_fresh(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert tables.PLOT.read_text("utf-8") == tables.plot()
