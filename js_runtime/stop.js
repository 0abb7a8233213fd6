/**
 * SIGTERM and SIGINT: what is under way is answered, who comes later is turned away, then the
 * process ends. functions-framework would answer what is under way with 500. Python's gunicorn does
 * the same, so this has no mirror.
 *
 * @typedef {import('node:http').Server} Server
 */
import { subscribe } from 'node:diagnostics_channel';

const GRACE_MS = 9_000; // Cloud Run kills a process 10 s after its SIGTERM
const SIGNALS = /** @type {const} */ (['SIGTERM', 'SIGINT']);

let stopping = false;

/** What an answer says of its connection. */
export const connection = () => (stopping ? { Connection: 'close' } : {});

subscribe('tracing:net.server.listen:asyncEnd', (message) => {
  const { server } = /** @type {{ server: Server }} */ (message);
  // The framework registers its own as it begins to listen, before this.
  server.once('listening', () => {
    for (const signal of SIGNALS) {
      process.removeAllListeners(signal);
      process.once(signal, () => stop(server));
    }
  });
});

/** @param {Server} server */
function stop(server) {
  stopping = true;
  server.close(() => process.exit(0));
  // A connection that is kept alive is idle once its answer is out.
  setInterval(() => server.closeIdleConnections(), 50).unref();
  setTimeout(() => process.exit(0), GRACE_MS).unref();
}
