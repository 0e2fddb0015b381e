"""A service that hears revocations through a durable pull consumer, with nats-py alone.

usage: durable.py NATS_URL DURABLE_NAME COUNT

Prints one notice a line, acknowledged one by one, and ends after COUNT of them. Started again under the same name it goes
on after the last one that it acknowledged.
"""

import asyncio
import sys

import nats


async def main(url: str, durable: str, count: int) -> None:
    connection = await nats.connect(url)
    feed = await connection.jetstream().pull_subscribe(
        "rescind.notices.acme.>", durable=durable, stream="RESCIND_FEED"
    )
    left = count
    while left > 0:
        for message in await feed.fetch(batch=1, timeout=30):
            assert message.headers["Content-Type"] == "application/cloudevents+json", message.headers
            print(message.data.decode(), flush=True)
            await message.ack_sync()
            left -= 1
    await connection.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
