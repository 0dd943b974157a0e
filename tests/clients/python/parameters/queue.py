"""A full server: which of two that wait goes first tells their classes."""

import threading
import time

from .call import MODEL, TIMEOUT_S, metric, opened, send
from .rows import SUPPORTED, Row, refused

# So many sequences run at once.
PLACES = 256
LONG = {"model": MODEL, "prompt": "x", "max_tokens": 2000, "ignore_eos": True, "stream": True}
SHORT = {"model": MODEL, "prompt": "x", "max_tokens": 1}


def order(first, second):
    """Two requests wait for the one place that becomes free, in the order in which they came:
    that in which they are answered."""
    answered = []

    def ask(more):
        assert send("POST /v1/completions", SHORT | more).status == 200
        answered.append(more)

    # The last one's place becomes free.
    counts = (128, PLACES - 129, 1)
    running = [opened("POST /v1/completions", LONG | {"n": n}) for n in counts]
    try:
        _until("agentbase_sequences_running", PLACES)
        asking = []
        for more in (first, second):
            asking.append(threading.Thread(target=ask, args=(more,)))
            asking[-1].start()
            _until("agentbase_requests_waiting", len(asking))
        running.pop().close()
        for thread in asking:
            thread.join()
    finally:
        for response in running:
            response.close()
        _until("agentbase_sequences_running", 0)
    return answered


def _until(name, value):
    deadline = time.monotonic() + TIMEOUT_S
    while metric(name) != value:
        assert time.monotonic() < deadline, f"{name} is {metric(name)}, not {value}"
        time.sleep(0.02)


def rows():
    """What has no other effect than the place in the queue: answers of completions name no tier."""
    return [
        _goes_first("service_tier", {"service_tier": "flex"}, {"service_tier": "priority"}),
        refused("service_tier", {"service_tier": "best"}, "others"),
        _goes_first(
            "priority",
            {"service_tier": "priority", "priority": 1},
            {"service_tier": "flex", "priority": -1},
            "wins over `service_tier`",
        ),
        refused("priority", {"priority": "high"}, "what is no number"),
    ]


def _goes_first(name, low, high, note=""):
    def prove(_route, case):
        case.assertEqual(order(low, high), [high, low])

    return Row(name, SUPPORTED, note, prove)
