"""How long `training.train` takes for questions to an assistant, and how right it gets them:

    python -m benchmarks.intents build/intents

150 intents in 10 domains, in scope or out of it: 22,500 questions in scope (100 to train on, 20 to
calibrate, 30 to test an intent) and 1,200 out of it, in the form and size of the CLINC150 data set
(Larson et al. 2019, https://aclanthology.org/D19-1131), made up here from words and frames. What is
made up is easier than what people ask: the minutes count, the accuracy only says that all is well.
Nothing is told to the training but the contract and the CSV. A second call goes on where the first
was killed.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from training import runs

OUT = Path("benchmarks/results/intents.json")
SPLITS = {"train": 100, "dev": 20, "test": 30}  # questions of each intent
OUTSIDE = {"train": 100, "dev": 100, "test": 1_000}
# Three things and five actions each, so that an intent shares both its words with others.
DOMAINS = {
    "banking": ("account|bank account|checking account", "card|credit card|debit card",
                "bill|invoice|payment"),
    "travel": ("flight|plane ticket|flight to paris", "hotel|room|place to stay",
               "suitcase|luggage|bags"),
    "kitchen": ("recipe|dish|dinner", "table|reservation|table for two", "groceries|food|meal"),
    "home": ("lights|lamp|lights upstairs", "heating|thermostat|radiator", "door|lock|front door"),
    "car": ("tires|wheels|tire pressure", "oil|engine oil|oil level", "tank|gas|fuel"),
    "work": ("meeting|appointment|call with the team", "vacation|days off|time off",
             "report|presentation|slides"),
    "music": ("song|track|this tune", "playlist|list of songs|mix", "volume|sound|loudness"),
    "calendar": ("reminder|alert|note to self", "alarm|wake up call|morning alarm",
                 "birthday|anniversary|party"),
    "shopping": ("order|package|parcel", "shoes|sneakers|boots", "refund|money back|return"),
    "health": ("doctor|physician|dentist", "pills|medicine|prescription", "workout|run|training"),
}  # fmt: skip
ACTIONS = ("change|modify|update", "cancel|call off|get rid of", "check|look up|tell me about",
           "set up|arrange|get me", "share|send|forward")  # fmt: skip
FRAMES = (
    "{a} my {o}", "can you {a} the {o}", "please {a} the {o} for me", "i need to {a} my {o}",
    "how do i {a} the {o}", "i would like to {a} a {o} today", "is it possible to {a} my {o}",
    "{a} the {o} right now", "help me {a} the {o}", "i want you to {a} my {o} tomorrow",
    "what is the way to {a} a {o}", "could someone {a} this {o}", "go ahead and {a} the {o}",
    "hey {a} my {o} would you", "when can i {a} the {o}",
)  # fmt: skip
TOPICS = ("the moon", "a black hole", "my neighbour's cat", "the stock market of 1929", "volcanoes",
          "chess openings", "how glass is made", "the roman empire", "quantum physics", "dinosaurs",
          "the meaning of this poem", "old stamps", "who won the cup", "the capital of chad",
          "sharks", "a riddle", "my horoscope", "jupiter", "bees", "how tall that tower is",
          "my ex", "the last pharaoh", "why leaves fall", "the speed of light",
          "knots")  # fmt: skip
ASKS = ("tell me about {o}", "what do you think of {o}", "why is there {o}", "explain {o} to me",
        "i wonder about {o}", "is it true what they say about {o}", "do you know {o}",
        "who invented {o}", "give me a fact about {o}", "how old is {o}", "sing of {o}",
        "what comes after {o}", "do you like {o}", "where is {o} now", "spell {o} backwards",
        "can you draw {o}", "let us talk of {o}", "have you heard of {o}", "what is {o}",
        "how many people know {o}", "would you marry {o}", "compare {o} with a spoon",
        "is {o} dangerous", "what rhymes with {o}", "write a letter about {o}",
        "what would {o} cost", "how do i get to {o}", "dream of {o}", "what colour has {o}",
        "should i fear {o}", "teach me {o}", "what if there was no {o}", "rate {o} from one to ten",
        "is {o} older than i am", "who paid for {o}", "summarize {o}", "say {o} in latin",
        "make a joke of {o}", "what would you do with {o}", "when did {o} begin",
        "does my mother know {o}", "show me {o} in a mirror", "can one eat {o}",
        "why does nobody like {o}", "who is afraid of {o}", "what weighs more than {o}",
        "forget {o}", "is {o} a word")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.intents", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, help="for the data, the run and the bundle")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    contract, data = folder / "contract.json", folder / "intents.csv"
    runs.write_json(contract, questions())
    write(data)
    clock = folder / "seconds"  # of the calls before this one
    before = float(clock.read_text()) if clock.exists() else 0.0
    began = time.monotonic()
    command = [sys.executable, "-m", "training.train", "--contract", contract, "--data", data,
               "--out", folder / "bundle"]  # fmt: skip
    with subprocess.Popen(command) as training:
        while training.poll() is None:
            time.sleep(1)
            seconds = before + time.monotonic() - began
            clock.write_text(str(seconds))
    if training.returncode:
        sys.exit(training.returncode)
    models = json.loads((folder / "bundle-run" / "metrics.json").read_text("utf-8"))["models"]
    found = {
        "minutes": round(seconds / 60, 1),
        "models": {
            name: {task: figures["accuracy"] for task, figures in model["test"].items()}
            for name, model in models.items()
        },
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(OUT, found)
    print(json.dumps(found, indent=1))


def intents() -> dict[str, tuple[str, list[str], list[str]]]:
    """Domain, words of the action and words of the thing, by the intent's name."""
    found = {}
    for domain, things in DOMAINS.items():
        for action, thing in itertools.product(ACTIONS, things):
            doing, what = action.split("|"), thing.split("|")
            found[f"{doing[0]} {what[0]}"] = domain, doing, what
    return found


def questions() -> dict:
    """The contract."""
    inside = {"scope": "in"}
    return {
        "schema": 1,
        "name": "assistant",
        "max_pieces": 32,
        "tasks": [
            {"name": "scope", "control": ">", "kind": "single", "labels": ["in", "out"]},
            {"name": "domain", "control": "+", "kind": "single", "labels": list(DOMAINS),
             "only_if": inside},
            {"name": "intent", "control": "|", "kind": "single", "labels": list(intents()),
             "only_if": inside},
        ],
    }  # fmt: skip


def write(path: Path) -> None:
    random = Random(1)
    with runs.whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "scope", "domain", "intent", "origin", "split"])
        for intent, (domain, doing, what) in intents().items():
            texts = [frame.format(a=a, o=o)
                     for frame, a, o in itertools.product(FRAMES, doing, what)]  # fmt: skip
            texts += [f"{text} {more}" for text in texts for more in ("please", "thanks")]
            _split(random, texts, SPLITS, lambda text, split, cells=("in", domain, intent):
                   rows.writerow([text, *cells, "made", split]))  # fmt: skip
        texts = [ask.format(o=topic) for ask, topic in itertools.product(ASKS, TOPICS)]
        _split(random, texts, OUTSIDE, lambda text, split:
               rows.writerow([text, "out", "", "", "made", split]))  # fmt: skip


def _split(random: Random, texts: list[str], sizes: dict[str, int], take) -> None:
    drawn = iter(random.sample(texts, sum(sizes.values())))
    for split, size in sizes.items():
        for text in itertools.islice(drawn, size):
            take(text, split)


if __name__ == "__main__":
    runs.stage(main)
