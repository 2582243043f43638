// One process of the peer: `node agenda_peer.mjs work|produce URL COUNT`, run where its packages can be found.
// Everything is as its own documentation shows it; the change stream wakes the workers.
import { Agenda } from 'agenda';
import { MongoBackend, MongoChangeStreamNotificationChannel } from '@agendajs/mongo-backend';
import { MongoClient } from 'mongodb';

const [what, url, count] = process.argv.slice(2);
const client = await MongoClient.connect(url);
const db = client.db();
const producing = what === 'produce';
const agenda = new Agenda({
  backend: new MongoBackend({ mongo: db }),
  // a producer only inserts: what it writes reaches the workers through their own streams
  ...(producing ? {} : { notificationChannel: new MongoChangeStreamNotificationChannel({ db }) }),
  defaultConcurrency: 10,
});
agenda.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
await agenda.ready;

if (producing) {
  const payload = 'x'.repeat(200);
  console.log(Date.now());
  for (let n = 0; n < Number(count); n += 1) await agenda.now('noop', { payload });
  await client.close();
} else {
  agenda.define('noop', async () => {});
  await agenda.start();
  process.on('SIGTERM', async () => {
    await agenda.stop();
    await client.close();
    process.exit(0);
  });
  console.log('up');
}
