// A service that hears revocations through @nats-io/jetstream, filtered to the one kind that it needs.
//
// usage: node jetstream.cjs NATS_URL COUNT, with NODE_PATH naming the two packages' folders
//
// Prints one notice a line and ends after COUNT of them.

const { connect } = require("@nats-io/transport-node");
const { jetstream } = require("@nats-io/jetstream");

async function main(url, count) {
  const connection = await connect({ servers: url });
  const consumer = await jetstream(connection).consumers.get("RESCIND_FEED", {
    filter_subjects: ["rescind.notices.acme.revoked.*"],
  });
  const messages = await consumer.consume({ expires: 5000 });
  let left = count;
  for await (const message of messages) {
    const notice = message.json();
    if (message.subject !== `rescind.notices.acme.revoked.${notice.subject.split("/")[1]}`) {
      throw new Error(`subject ${message.subject} does not fit ${notice.subject}`);
    }
    console.log(JSON.stringify(notice));
    if (--left === 0) break;
  }
  await connection.close();
}

main(process.argv[2], Number(process.argv[3])).catch((error) => {
  console.error(error);
  process.exit(1);
});
