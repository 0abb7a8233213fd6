"""A server of which the lab's tests know what it does: `python cold_server.py SECONDS HOW`.

It sleeps SECONDS before it listens and logs that as the span `load` and as a start-up timeline.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import time

seconds, how = float(sys.argv[1]), sys.argv[2]


def log(**record) -> None:
    print(json.dumps(record), file=sys.stderr, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.asked += 1
        status = {"404": 404, "starting": 503 if Handler.asked < 3 else 200,
                  "tired": 200 if Handler.asked < 3 else 500}.get(how, 200)
        if how == "quits" and Handler.asked == 3:
            os._exit(7)
        if how == "silent":
            time.sleep(600)
        label = "fungus" if how == "wrong" else "plant"
        kinds = [{"label": "a"}, {"label": "b"}]
        result = {"text": body["text"], "source": {"label": label}, "kinds": kinds}
        content = "<html>" if how == "html" else json.dumps({"results": [result]})
        log(span="request", duration_ms=1.0)
        total = (time.perf_counter() - began) * 1e3
        log(span="startup", duration_ms=total, stages_ms={"sleep": slept, "rest": total - slept})
        self.send_response(status)
        self.send_header("Server-Timing", "encode;dur=0.5, infer;dur=2.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_) -> None:
        pass


began = time.perf_counter()
print("some words", flush=True)
time.sleep(seconds)
slept = (time.perf_counter() - began) * 1e3
log(span="load", duration_ms=slept)
if path := os.environ.get("COLD_ORDER"):
    with open(path, "a") as order:
        order.write(how + "\n")
if how == "dies":
    sys.exit("error: found no model")
if how == "burns":
    while time.process_time() < 0.1:
        pass
if how == "hungry":
    kept = b"x" * 200_000_000
if how in ("silent", "stubborn"):  # and leaves behind what it can
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    for alone in (False, True):
        subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=alone)
if how == "nowhere":
    time.sleep(600)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
