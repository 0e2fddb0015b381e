"""A service that hears revocations through server-sent events, with httpx-sse alone.

usage: feed.py BASE_URL KEY_FILE COUNT [LAST_EVENT_ID]

Prints each event as "<event> <id> <data>" and ends after COUNT notices, or when told to start over.
"""

import sys

import httpx
from httpx_sse import connect_sse


def main(base: str, key_file: str, count: int, last_event_id: str | None) -> None:
    with open(key_file, encoding="ascii") as file:
        headers = {"Authorization": f"Bearer {file.read().strip()}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    left = count
    with httpx.Client(timeout=30) as client:
        with connect_sse(client, "GET", f"{base}/v1/feed?tenant=acme", headers=headers) as source:
            source.response.raise_for_status()
            for event in source.iter_sse():
                if event.event == "heartbeat":
                    continue
                print(event.event, event.id, event.data, flush=True)
                if event.event == "hello":
                    continue
                left -= 1
                if left == 0 or event.event == "reset":
                    return


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
