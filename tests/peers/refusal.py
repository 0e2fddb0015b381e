"""From the command to a subscriber's refusal, the same loop for everybody who can tell subscribers.

One thread, two sockets: who revokes, and a verifier that holds keys in a table and drops each that it hears of. So a side is
measured by what it sends and when, not by how this program switches between threads.
"""

from __future__ import annotations

import select
import time

# What the command before left to do is done by then. A longer rest lets a virtual disk fall asleep.
REST_S = 0.005
# Who is not heard by then has lost a notice.
LIMIT_S = 10.0


class Lost(Exception):
    """A subscriber was not told."""


def measure(keys: list[str], admin, subscriber) -> list[float]:
    """For each key the seconds from sending its revocation until the subscriber refuses it."""
    held = dict.fromkeys(keys, "valid")
    poll = select.poll()
    poll.register(admin.socket, select.POLLIN)
    poll.register(subscriber.socket, select.POLLIN)
    hears = subscriber.socket.fileno()
    took = []
    for key in keys:
        time.sleep(REST_S)
        began = time.perf_counter()
        admin.revoke(key)
        refused, acknowledged = None, False
        while refused is None or not acknowledged:
            ready = poll.poll(LIMIT_S * 1000)
            if not ready:
                raise Lost(f"{key}: refused {refused is not None}, acknowledged {acknowledged} after {LIMIT_S:.0f} s")
            for descriptor, _ in sorted(ready, key=lambda found: found[0] != hears):
                if descriptor == hears:
                    for ended in subscriber.heard():
                        held.pop(ended, None)
                    if refused is None and key not in held:
                        refused = time.perf_counter() - began
                else:
                    acknowledged = admin.acknowledged() or acknowledged
        took.append(refused)
    if held:
        raise Lost(f"{len(held)} keys are still held")
    return took
