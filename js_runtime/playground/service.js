/** The page without a network: its files as they were last. The model's files are web.js's. */
const CACHE = 'whippedup-playground';
const FILES = ['/', ...['page.css', 'page.js', 'worker.js', 'assets.json'].map((name) => `/playground/${name}`)];

addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
});
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method === 'GET' && FILES.includes(pathname)) event.respondWith(latest(pathname));
});

async function latest(path) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(path, { cache: 'no-cache' });
    if (answer.ok) await cache.put(path, answer.clone());
    return answer;
  } catch {
    return cache.match(path);
  }
}
