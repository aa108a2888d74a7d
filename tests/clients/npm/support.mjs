// The two ways to the daemon, and what every script asks it about.
import { Agent, fetch as undiciFetch } from 'undici';

const { KVASIR_TCP, KVASIR_KEY, KVASIR_SOCKET } = process.env;

const agent = new Agent({ connect: { socketPath: KVASIR_SOCKET }, connections: 64 });
const socketFetch = (url, init) => undiciFetch(url, { ...init, dispatcher: agent });

// host: without /v1. fetch: undefined where the client's own will do.
export const ways = [
  { name: 'TCP', host: KVASIR_TCP, key: KVASIR_KEY, fetch: undefined },
  { name: 'Unix socket', host: 'http://localhost', key: 'unused', fetch: socketFetch },
];

export const model = (await (await socketFetch('http://localhost/v1/models')).json()).data[0].id;

export async function metric(name) {
  const text = await (await socketFetch('http://localhost/metrics')).text();
  const line = text.split('\n').find((one) => one.startsWith(name + ' '));
  if (line === undefined) throw new Error('no metric ' + name);
  return Number(line.split(' ')[1]);
}

export async function eventually(holds, seconds = 20) {
  const until = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

export const idle = () => eventually(async () => (await metric('kvasir_requests_running')) === 0);

export const messages = [
  { role: 'system', content: 'You tell tales.' },
  { role: 'user', content: 'A tale of a fox, please.' },
];

export const lookSchema = {
  type: 'object',
  properties: { at: { type: 'string', enum: ['sea', 'hill'] }, times: { type: 'integer', minimum: 1, maximum: 3 } },
  required: ['at', 'times'],
  additionalProperties: false,
};
export const lookTool = {
  type: 'function',
  function: { name: 'look', description: 'Look somewhere.', parameters: lookSchema },
};

export function isLook(args) {
  return ['sea', 'hill'].includes(args.at) && [1, 2, 3].includes(args.times) && Object.keys(args).length === 2;
}
